"""What `[source.NAME]` of `charkh.toml` may say: where data is collected from, one struct a kind.

A text of the form `env:NAME` is the value of that environment variable when the source is fetched: no credential
stands in the file, and none enters the store.
"""

import re
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.redact import is_secret_name

Mode = Literal["append", "replace", "mirror"]
Values = dict[str, str | tuple[str | int, ...]]
"""What stands for the names in braces: a list, or a range such as `2013..2015`."""

VARIABLE = "env:"
_CHECKSUM = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|blake3:[0-9a-f]{64}|md5:[0-9a-f]{32})")
_ADDRESS = re.compile(r"https?://(?P<host>[^/?#]+)[^?#]*(?:\?(?P<query>[^#]*))?", re.IGNORECASE)
_SCRIPT = re.compile(r".+\.py:[A-Za-z_]\w*")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What a source of any kind may say.

    Attributes:
        dataset: the dataset that its versions belong to; the one of the source's own name by default.
        mode: `append` keeps what came before and adds what is new beside it, `replace` makes a version of what is
            new alone, `mirror` a version of what the source has now. SQL with a cursor and dlt append by default, all
            others mirror.
        every: shortest time between two fetches by `charkh up`, such as `1d`; empty to fetch by hand.
        checks: a suite of checks (TOML) that the new rows must pass; those that fail go to quarantine.
        recipe: a recipe (JSON, or the name of a recorded one) that the new rows go through before the checks.
        files: keep what comes as plain files, even where it could be read as a table.
        separator: between the fields of CSV files.
        nulls: field texts of CSV files that mean "missing".
        licence: under which the data may be used, such as `CC-BY-4.0`.
        consent: on which agreement of the people in it the data rests.
        provenance: who made the data, and how, in a sentence.
    """

    dataset: str = ""
    mode: Literal["", "append", "replace", "mirror"] = ""
    every: str = ""
    checks: str = ""
    recipe: str = ""
    files: bool = False
    separator: str = ","
    nulls: tuple[str, ...] = ()
    licence: str = ""
    consent: str = ""
    provenance: str = ""

    @property
    def used_mode(self) -> Mode:
        """The mode as given, or the kind's own."""
        if self.mode:
            return self.mode
        brings_new_alone = isinstance(self, DltSource) or (isinstance(self, SqlSource) and bool(self.cursor))
        return "append" if brings_new_alone else "mirror"


class FilesSource(SourceSettings, frozen=True, kw_only=True, tag="files"):
    """`kind = "files"`: files of this machine, by name or pattern.

    Attributes:
        paths: files, folders and patterns such as `incoming/**/*.csv`, relative to the workspace.
    """

    paths: tuple[str, ...]


class HttpSource(SourceSettings, frozen=True, kw_only=True, tag="http"):
    """`kind = "http"`: one file a URL, over HTTP or HTTPS.

    Attributes:
        url: such as `https://example.org/{year}-{month:02}.csv`; names in braces are those of `values`.
        values: for each name in braces a list, or a range such as `2013..2015`.
        path: of the file in the dataset, such as `{year}/{month:02}.csv`; the URL's last part by default.
        headers: sent with every request to the URL's own host; `env:NAME` is the variable's value.
        params: added to the query; `env:NAME` is the variable's value.
        checksums: by path in the dataset, `sha256:…`, `sha512:…`, `blake3:…` or `md5:…` of the file.
        limit: the largest file that is taken, such as `10GB`.
        timeout: the longest wait for an answer or for more of it.
        attempts: tries in a row that bring nothing before the fetch fails.
        missing: what a 404 or 410 is: an `error`, or to `skip` (a month that is not there yet).
        parallel: how many files are fetched at once.
    """

    url: str
    values: Values = {}
    path: str = ""
    headers: dict[str, str] = {}
    params: dict[str, str] = {}
    checksums: dict[str, str] = {}
    limit: str = "100GB"
    timeout: str = "60s"
    attempts: int = 5
    missing: Literal["error", "skip"] = "error"
    parallel: int = 4


class SqlSource(SourceSettings, frozen=True, kw_only=True, tag="sql"):
    """`kind = "sql"`: the rows of a query against a database that SQLAlchemy speaks to.

    Attributes:
        url: such as `postgresql://reader@host/sales` or `sqlite:///sales.db`, without a password; or `env:NAME`.
        password: `env:NAME` of the variable that holds it.
        query: a SELECT statement; it runs in a transaction that can only read.
        cursor: a column that only grows, such as `updated_at`: only rows with a greater value come next time.
        lag: how far back rows may still appear, such as `1h` for times or `1000` for numbers.
        key: columns that tell one row from another; rows of the overlap that came before are left out by them.
        batch_rows: how many rows are held in memory at once.
    """

    url: str
    query: str
    password: str = ""
    cursor: str = ""
    lag: str = ""
    key: tuple[str, ...] = ()
    batch_rows: int = 100_000


class ObjectsSource(SourceSettings, frozen=True, kw_only=True, tag="objects"):
    """`kind = "objects"`: the objects below a prefix of an object store.

    Attributes:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        pattern: which objects, relative to the prefix, such as `**/*.parquet`.
        options: of the store, such as `{region = "eu-central-1"}`; `env:NAME` is the variable's value, and the
            provider's own variables (`AWS_…`) are read as well.
        limit: the largest object that is taken, such as `10GB`.
        parallel: how many objects are fetched at once.
    """

    url: str
    pattern: str = "**"
    options: dict[str, str] = {}
    limit: str = "100GB"
    parallel: int = 4


class StoreSource(SourceSettings, frozen=True, kw_only=True, tag="charkh"):
    """`kind = "charkh"`: a dataset of another charkh store.

    Attributes:
        remote: the name of a `[remote.NAME]`, or where the other store is: a workspace's folder, relative to this one,
            or any address that a remote may have.
        ref: the dataset or version there, such as `flights` or `flights@3`.
    """

    remote: str
    ref: str


class DltSource(SourceSettings, frozen=True, kw_only=True, tag="dlt"):
    """`kind = "dlt"`: a resource or source of dlt, run by dlt itself.

    Attributes:
        script: `FILE.py:NAME` of a function that returns a dlt resource or source, relative to the workspace.
        table: the table of the source that becomes the dataset; the only one by default.
        python: the interpreter of an environment with dlt, relative to the workspace; the current one by default.
        timeout: the longest time that a run may take.
    """

    script: str
    table: str = ""
    python: str = ""
    timeout: str = "1h"


AnySource = FilesSource | HttpSource | SqlSource | ObjectsSource | StoreSource | DltSource


def kind_of_source(settings: AnySource) -> str:
    """The word that `kind` says."""
    return str(settings.__struct_config__.tag)


def check_source(name: str, settings: AnySource) -> None:
    """Refuse settings of a source that can never be fetched, or that hold a credential.

    Raises:
        Invalid: they do.
    """
    if isinstance(settings, HttpSource):
        _check_http(name, settings)
    elif isinstance(settings, SqlSource):
        _check_sql(name, settings)
    elif isinstance(settings, ObjectsSource):
        _refuse_secrets(name, "options", settings.options)
        if not settings.url.startswith(("s3://", "gs://", "az://")):
            raise _wrong(name, f"url is {settings.url[:80]!r}", "Write s3://bucket/prefix, gs://… or az://….")
    elif isinstance(settings, DltSource) and not _SCRIPT.fullmatch(settings.script):
        raise _wrong(
            name, f"script is {settings.script!r}", "Write the file and the function: sources/github.py:issues."
        )


def _check_http(name: str, settings: HttpSource) -> None:
    address = _ADDRESS.match(settings.url)
    if address is None:
        raise _wrong(name, "url is no http:// or https:// address", "Write https://host/path.")
    if "@" in address["host"]:
        raise _secret(name, "url", 'headers = {Authorization = "env:NAME"}')
    if any(is_secret_name(each.partition("=")[0]) for each in (address["query"] or "").split("&") if "=" in each):
        raise _secret(name, "url", 'params = {api_key = "env:NAME"}')
    _refuse_secrets(name, "headers", {key: value for key, value in settings.headers.items() if _is_credential(key)})
    _refuse_secrets(name, "params", settings.params)
    for checksum in settings.checksums.values():
        if not _CHECKSUM.fullmatch(checksum):
            raise _wrong(name, f"{checksum[:80]!r} is no checksum", "Write sha256: and 64 hex digits.")
    if settings.attempts < 1 or settings.parallel < 1:
        raise _wrong(name, "attempts and parallel count from 1", "Give a number of at least 1.")


def _check_sql(name: str, settings: SqlSource) -> None:
    if re.match(r"[\w+]+://[^/@]*:[^/@]+@", settings.url):
        raise _secret(name, "url", 'password = "env:NAME"')
    if settings.password and not settings.password.startswith(VARIABLE):
        raise _secret(name, "password", 'password = "env:NAME"')
    if settings.cursor and settings.mode == "mirror":
        raise _wrong(
            name, "a cursor brings the new rows alone, and mirror is made of all", "Leave the cursor out, or append."
        )
    if settings.lag and not settings.cursor:
        raise _wrong(name, "lag is said without a cursor", "Name the column: cursor = 'updated_at'.")
    if settings.batch_rows < 1:
        raise _wrong(name, "batch_rows counts from 1", "Give a number of at least 1.")


def _is_credential(header: str) -> bool:
    word = header.lower()
    return word in {"authorization", "cookie", "proxy-authorization"} or is_secret_name(header.replace("-", "_"))


def _refuse_secrets(name: str, key: str, values: dict[str, str]) -> None:
    for each, value in values.items():
        if not value.startswith(VARIABLE) and (key == "headers" or is_secret_name(each.replace("-", "_"))):
            raise _secret(name, f"{key}.{each}", f'{key} = {{{each} = "env:NAME"}}')


def _secret(name: str, key: str, instead: str) -> Invalid:
    return Invalid(
        f"source {name!r}: {key} holds a credential",
        code="source.credential",
        hint=f"Put it into an environment variable and name that: {instead}.",
    )


def _wrong(name: str, what: str, hint: str) -> Invalid:
    return Invalid(f"source {name!r}: {what}", code="config.invalid", hint=hint)
