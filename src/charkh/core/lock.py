"""`charkh.lock` as text: the versions that code works with, one line a pin, sorted, made to be merged by any tool.

    charkh.lock 1
    # …

    dataset flights@3 019a… 5f2c… 48213 path=data/flights

    model delay@7 019a… 77e0… 9120 follows=champion

A blank line stands between two pins, so that a three-way merge of two colleagues who changed neighbours is clean: what
merge tools cannot take apart is changes with no unchanged line between them. Identity is the id; name and number are
for people. Pure text, no I/O (docs/formats/lock.md).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast, get_args

import msgspec

from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Conflict, Invalid
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import parse_path

FORMAT = 1
PinKind = Literal["dataset", "model", "step"]
KINDS: tuple[PinKind, ...] = get_args(PinKind)

_HEAD = re.compile(r"charkh\.lock ([1-9][0-9]{0,8})")
_NOTE = (
    "# The versions of data and models that this code works with. Check it in; `charkh lock verify` proves it.\n"
    "# Of two lines that a merge leaves for one name, keep the one you mean.\n"
)
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_UNSAYABLE = re.compile(r"[\s%\x00-\x1f\x7f]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_OPTIONS = ("path", "follows")


class Pin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One version that is pinned.

    Attributes:
        kind: `dataset`, `model` or `step`.
        name: of the dataset or model; of a step's output, `PIPELINE/MODULE:FUNCTION`.
        number: of the version; of a step's output, which call of that function in the pipeline it was, from 1.
        id: of the version, or of the step's execution: this is what is meant.
        root: digest of its tree of files.
        size: bytes of its files.
        path: where `charkh lock checkout` puts a dataset's files, relative to the workspace; empty for nowhere.
        follows: the alias that `charkh lock update` looks at, empty for the newest version.
    """

    kind: PinKind
    name: str
    number: int
    id: str
    root: str
    size: int
    path: str = ""
    follows: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What two pins may not have in common: of a dataset or model, one version is pinned."""
        return (self.kind, self.name, self.number if self.kind == "step" else 0)

    @property
    def subject(self) -> str:
        """`noun:id`, as it stands in edges."""
        return f"{self.kind}:{self.id}"

    @property
    def ref(self) -> str:
        """`name@number`."""
        return f"{self.name}@{self.number}"


class Lock(msgspec.Struct, frozen=True):
    """The pins, sorted."""

    pins: tuple[Pin, ...] = ()

    def having(self, pins: Sequence[Pin]) -> "Lock":
        """With these pins too; they take the place of those of the same name."""
        kept = {pin.key: pin for pin in (*self.pins, *pins)}
        return Lock(tuple(sorted(kept.values())))

    def without(self, keys: Sequence[tuple[str, str, int]]) -> "Lock":
        """Without the pins of these keys."""
        return Lock(tuple(pin for pin in self.pins if pin.key not in keys))

    def pin_of(self, kind: str, name: str) -> Pin | None:
        """The pin of a dataset or model."""
        return next((pin for pin in self.pins if pin.key == (kind, name, 0)), None)


def format_lock(lock: Lock) -> str:
    """The text of a lock; equal locks have equal texts."""
    lines = [f"\n{_line(pin)}\n" for pin in sorted(lock.pins)]
    return f"charkh.lock {FORMAT}\n{_NOTE}{''.join(lines)}"


def parse_lock(text: str, source: str = "charkh.lock") -> Lock:
    """The lock in a text.

    Args:
        text: of the file.
        source: how it is called in errors.

    Raises:
        Conflict: a merge left its marks, or two lines for one name; the error lists what each says.
        Invalid: a line is none that a lock has, or the format is a later one.
    """
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    _refuse_marks(lines, source)
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise _invalid(source, 1, f"begins with {lines[0][:40]!r} and not with 'charkh.lock {FORMAT}'")
    if int(head[1]) > FORMAT:
        raise Invalid(
            f"{source} is in format {head[1]}; this charkh reads up to {FORMAT}",
            code="lock.too_new",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    pins: dict[tuple[str, str, int], tuple[int, Pin]] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        pin = _parse_line(line, source, number)
        before, same = pins.setdefault(pin.key, (number, pin))
        if same is not pin and same != pin:
            raise Conflict(
                f"{source} pins two versions of {pin.kind} {pin.name}: {_told(same)} in line {before}, {_told(pin)} "
                f"in line {number}",
                code="lock.conflict",
                hint="Keep the line you mean and delete the other, then `charkh lock verify`.",
                facts={"pins": [same.subject, pin.subject]},
            )
    return Lock(tuple(sorted(pin for _, pin in pins.values())))


def _line(pin: Pin) -> str:
    options = [f" {name}={_escaped(getattr(pin, name))}" for name in _OPTIONS if getattr(pin, name)]
    return f"{pin.kind} {_escaped(pin.name)}@{pin.number} {pin.id} {pin.root} {pin.size}{''.join(options)}"


def _parse_line(line: str, source: str, number: int) -> Pin:
    kind, ref, identifier, root, size, *options = [*line.split(" "), "", "", "", ""]
    name, _, count = ref.rpartition("@")
    known: dict[str, str] = {}
    for option in options:
        if option:
            label, _, value = option.partition("=")
            known[label] = value
    sound = (
        kind in KINDS
        and name
        and _NUMBER.fullmatch(count)
        and ID_PATTERN.fullmatch(identifier)
        and DIGEST_PATTERN.fullmatch(root)
        and _SIZE.fullmatch(size)
        and known.keys() <= {*_OPTIONS}
        and all(known.values())
    )
    if not sound:
        raise _invalid(source, number, f"is no pin: {line[:80]!r}")
    try:
        name, path, follows = (_unescaped(each) for each in (name, known.get("path", ""), known.get("follows", "")))
    except UnicodeDecodeError as error:
        raise _invalid(source, number, f"is no pin: {error}") from error
    return Pin(
        kind=cast(PinKind, kind),
        name=name,
        number=int(count),
        id=identifier,
        root=root,
        size=int(size),
        path=parse_path(path) if path else "",
        follows=follows,
    )


class _Block(NamedTuple):
    """A conflict as a merge tool marked it: what each side is called, and its lines."""

    ours: str
    theirs: str
    our_lines: list[str]
    their_lines: list[str]


def _refuse_marks(lines: Sequence[str], source: str) -> None:
    if not any(line.startswith(_MARKS) for line in lines):
        return
    blocks = list(_blocks(lines))
    told = "; ".join(
        f"{_listed(block.our_lines)} ({block.ours}) or {_listed(block.their_lines)} ({block.theirs})"
        for block in blocks
    )
    raise Conflict(
        f"{source} has a merge conflict: {told}",
        code="lock.conflict",
        hint="Keep the lines you mean, delete the marks and the others, then `charkh lock verify`.",
        facts={"conflicts": [{"ours": block.our_lines, "theirs": block.their_lines} for block in blocks]},
    )


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    block = _Block("one side", "the other", [], [])
    into: list[str] | None = None
    for line in lines:
        mark = line[:7] if line.startswith(_MARKS) else ""
        label = line[7:].strip()
        if mark == "<<<<<<<":
            block = _Block(label or "one side", "the other", [], [])
            into = block.our_lines
        elif mark == "|||||||":
            into = None
        elif mark == "=======":
            into = block.their_lines
        elif mark == ">>>>>>>":
            yield block._replace(theirs=label or "the other")
            into = None
        elif into is not None and line.strip():
            into.append(line)
    if into is not None:
        yield block


def _listed(lines: Sequence[str]) -> str:
    """The pins of one side of a conflict, shortened."""
    shown = [" ".join(line.split(" ")[:2]) + f" {line.split(' ')[2][-8:]}" for line in lines if line.count(" ") >= 4]
    return ", ".join(shown) or "nothing"


def _told(pin: Pin) -> str:
    return f"{pin.ref} ({pin.id[-8:]})"


def _escaped(text: str) -> str:
    return _UNSAYABLE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _unescaped(text: str) -> str:
    """What `_escaped` was given; raises `UnicodeDecodeError` for bytes that are no UTF-8."""
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode()).decode()


def _invalid(source: str, line: int, what: str) -> Invalid:
    return Invalid(
        f"{source}, line {line}, {what}",
        code="lock.invalid",
        hint="Write pins with `charkh lock add` and take the file as it was from version control.",
    )
