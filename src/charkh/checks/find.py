"""Find a recorded check, and read back the suite that it ran."""

from charkh.checks.check import Check
from charkh.checks.document import parse_suite
from charkh.checks.index import CheckById, Checks
from charkh.checks.suite import CheckSuite
from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import parse_name
from charkh.ports.store import Store


def find(store: Store, ref: str) -> Check:
    """The check that `ref` means: `check:ID`, an id, or a suite's name for its newest check.

    Raises:
        NotFound: none is meant.
    """
    identifier = ref.removeprefix("check:")
    if ID_PATTERN.fullmatch(identifier):
        check = store.queries.ask(CheckById(check=identifier))
    else:
        check = next(iter(store.queries.ask(Checks(name=parse_name(ref, "check name"), limit=1))), None)
    if check is None:
        raise NotFound(f"there is no check {ref}", code="check.not_found", hint="`charkh check list` shows them.")
    return check


def load_suite(store: Store, check: Check) -> CheckSuite:
    """The suite that a recorded check ran.

    Raises:
        NotFound: its bytes are not here.
        Corrupt: they are not what their digest says.
    """
    text = b"".join(store.vault.read(check.ran.document)).decode()
    return parse_suite(text, f"check {check.ran.name}", recorded=True)
