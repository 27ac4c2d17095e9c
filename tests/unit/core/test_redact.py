"""Planted secrets vanish in every form they are written in; ordinary code and prose stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.redact import REDACTED, is_secret_name, redact, redact_value

SECRET = "Zx9-kQ7wLm2"
KEY_ID = "AKIA" + "Q3EXAMPLE7XY2Z4W"

PLANTED = [
    (f"postgresql://ann:{SECRET}@db.example.org/charkh", SECRET),
    (f"s3://id:{SECRET}@bucket/prefix", SECRET),
    (f"https://ann:p@{SECRET}@host/path", SECRET),
    ("https://oauth2tokenoauth2token4711@git.example.org/x.git", "4711"),
    (KEY_ID, KEY_ID),
    ("ghp_" + "a1B2" * 9, "a1B2"),
    ("github_pat_" + "a1B2_" * 9, "a1B2"),
    ("sk-" + "a1B2" * 9, "a1B2"),
    ("hf_" + "a1B2" * 9, "a1B2"),
    ("xoxb-1234567890-abcdef", "1234567890"),
    ("glpat-" + "a1B2" * 6, "a1B2"),
    ("ck_00ff00ff_" + "a1B2" * 9, "a1B2"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2lnbg", "c2lnbmF0dXJl"),
    (f"Authorization: Bearer {SECRET}", SECRET),
    (f'{{"Authorization": "Bearer {SECRET}"}}', SECRET),
    (f"authorization=Basic {SECRET}", SECRET),
    (f"PASSWORD={SECRET}", SECRET),
    (f"export DB_PASSWORD={SECRET}", SECRET),
    ("export AWS_SECRET_ACCESS_KEY=wJalr/K7MDENG+bPxRfi,CY", "MDENG"),
    ("API_KEY=ab,cd;ef.gh", "ef.gh"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "K7MDENG"),
    ("password = hunter22", "hunter22"),
    ("password: hunter22", "hunter22"),
    ("password: correcthorse\n", "correcthorse"),
    ("password:hunter22", "hunter22"),
    ("token: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    (f"--password {SECRET}", SECRET),
    (f"--password={SECRET}", SECRET),
    (f"--db-password '{SECRET} and more'", SECRET),
    ("train.py --api-key abcd.efgh --rate 0.1", "abcd.efgh"),
    (f'password="{SECRET}"', SECRET),
    (f"password = '{SECRET}'", SECRET),
    (f'"password": "{SECRET}"', SECRET),
    (f'{{"client_secret":"{SECRET}"}}', SECRET),
    (f'api_key: str = "{SECRET}"', SECRET),
    (f'os.environ["OPENAI_API_KEY"] = "{SECRET}"', SECRET),
    (f'headers["X-Api-Key"] = "{SECRET}"', SECRET),
    (f"X-Api-Key: {SECRET}", SECRET),
    (f"AccountName=me;AccountKey={SECRET}==;EndpointSuffix=x", SECRET),
    (f"https://host/path?token={SECRET}&page=2", SECRET),
    ("host=db user=ann password=correcthorse dbname=x", "correcthorse"),
    ("host=db password=p@ss,w0rd user=x", "w0rd"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
    ("+-----BEGIN OPENSSH PRIVATE KEY-----\n+b3BlbnNz\n", "b3BlbnNz"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nxyz\n-----END PGP PRIVATE KEY BLOCK-----", "xyz"),
]
ORDINARY = [
    "tokenizer=AutoTokenizer",
    "tokenizer = AutoTokenizer.from_pretrained(name)",
    "max_tokens=512",
    "max_token=100000",
    "n_tokens: 128000",
    'eos_token = "<|endoftext|>"',
    'tokenizer.pad_token = "[PAD] "',
    "pad_token=tokenizer.eos_token",
    "num_token = 128000",
    "login(token=hf_token)",
    "login(token=token, add=True)",
    "connect(password=settings.password, host=host)",
    "connect(password=getpass.getpass())",
    "TOKEN=os.environ['HF_TOKEN']",
    'token = os.environ["HF_TOKEN"]',
    "token = next(tokens)",
    "token = tokens[i+1]",
    "if token == expected:",
    "if token==expected:",
    "def f(token: Tokenizer) -> None:",
    "    password: SecretStr",
    "    token: str | None = None",
    "password: str = field(default='')",
    'password="${DB_PASSWORD}"',
    'f"password={password}"',
    "--password $DB_PASSWORD",
    "--token TOKEN",
    "The token: it expires after an hour",
    "Secret santa, access keynote, passwordless",
    "the password is asked for when you log in",
    "https://example.org/path/user@example.org",
    "http://127.0.0.1:9000/bucket/key",
    "ann@example.org",
    "learning_rate=0.1, epochs=20",
    "0123456789abcdef" * 4,
]


@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_a_planted_secret_vanishes(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize("before", ["", "x = 1\n", "-", "+    ", "run.py "])
@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_it_vanishes_from_the_middle_of_a_text(text: str, secret: str, before: str) -> None:
    assert secret not in redact(f"{before}{text}\nmore = lines\n")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_code_and_prose_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("text", [text for text, _ in PLANTED] + ORDINARY)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(
    st.text(alphabet="abcXYZ012-_/+", min_size=8, max_size=30), st.sampled_from(["PASSWORD", "my_secret", "Api-Key"])
)
def test_any_quoted_literal_under_a_secret_name_vanishes(secret: str, name: str) -> None:
    assert secret not in redact(f'{name} = "{secret}"')
    assert secret not in redact(f'{{"{name}": "{secret}"}}')


@given(st.text(max_size=300))
def test_no_text_is_refused(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "_-" * 150_000,
        "a." * 150_000,
        "token" * 60_000,
        "token=" * 50_000,
        "://" * 100_000,
        " " * 300_000,
    ],
    ids=["letters", "dashes", "dots", "tokens", "assignments", "schemes", "spaces"],
)
def test_a_long_line_ends(text: str) -> None:
    assert len(redact(text)) > 0


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "PGPASSWORD", "api-key", "apiKey", "hf_token", "clientSecret", "aws.access_key_id"],
)
def test_names_of_credentials(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer",
        "max_tokens",
        "pad_token",
        "eos_token_id",
        "secretary",
        "key",
        "learning_rate",
        "passes",
        "num_token",
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)


def test_values_are_redacted_by_name_and_by_form_at_any_depth() -> None:
    value = {
        "rate": 0.1,
        "eos_token": "</s>",
        "token": "short",
        "store": {"url": f"postgres://a:{SECRET}@h/d", "api_key": ["one", "two"]},
        "argv": ["train.py", f"--password={SECRET}", 3, None, True],
    }
    clean = redact_value(value)
    assert SECRET not in repr(clean)
    assert clean == {
        "rate": 0.1,
        "eos_token": "</s>",
        "token": REDACTED,
        "store": {"url": f"postgres://{REDACTED}@h/d", "api_key": [REDACTED, REDACTED]},
        "argv": ["train.py", f"--password={REDACTED}", 3, None, True],
    }
