"""Regions of a card that charkh writes, and the merge that keeps everything else. Pure.

In the body a region lies between the lines `<!-- charkh:made NAME -->` and `<!-- /charkh:made NAME -->`; in the
front matter between the comments `# charkh:made NAME` and `# /charkh:made NAME`. An opening line counts only when
the next marker line closes it: what a person half deleted is that person's text, and is never taken away.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

_BODY = re.compile(r"<!-- (?P<close>/?)charkh:made (?P<name>[a-z0-9-]+) -->\s*")
_FRONT = re.compile(r"# (?P<close>/?)charkh:made (?P<name>[a-z0-9-]+)\s*")
_FENCE = "---"


class Part(NamedTuple):
    """A stretch of text: a region of this name, markers included, or with an empty name a person's text."""

    name: str
    text: str


class Document(NamedTuple):
    """A card taken apart: front matter (None where there is none, else without its fences) and body."""

    front: tuple[Part, ...] | None
    body: tuple[Part, ...]

    @property
    def regions(self) -> dict[str, str]:
        """The regions by name, markers included; of one that stands twice the first."""
        found: dict[str, str] = {}
        for part in (*(self.front or ()), *self.body):
            if part.name:
                found.setdefault(part.name, part.text)
        return found


def body_region(name: str, content: str) -> str:
    """A region of the body."""
    return f"<!-- charkh:made {name} -->\n{_unmarked(content, _BODY)}\n<!-- /charkh:made {name} -->\n"


def front_region(name: str, content: str) -> str:
    """A region of the front matter."""
    return f"# charkh:made {name}\n{_unmarked(content, _FRONT)}\n# /charkh:made {name}\n"


def parse_document(text: str) -> Document:
    """Take a card apart; `join_document` gives the same text again."""
    lines = text.splitlines(keepends=True)
    if lines and lines[0].rstrip() == _FENCE:
        for place, line in enumerate(lines[1:], start=1):
            if line.rstrip() == _FENCE:
                front, body = lines[1:place], lines[place + 1 :]
                return Document(tuple(_parts(front, _FRONT)), tuple(_parts(body, _BODY)))
    return Document(None, tuple(_parts(lines, _BODY)))


def join_document(document: Document) -> str:
    """The text of a card; its fences are written as plain lines."""
    body = "".join(part.text for part in document.body)
    if document.front is None:
        return body
    front = "".join(part.text for part in document.front)
    return f"{_FENCE}\n{front}{_FENCE}\n{body}"


def merge(old: str, new: str) -> str:
    """`old` with its regions replaced by those of `new`; everything outside of regions stays as it is.

    A region that `old` lacks is put behind the one that precedes it in `new`, or at the beginning; one that `new`
    lacks, and a second of one name, is emptied. Without front matter, that of `new` is taken whole.

    Args:
        old: what people may have edited; blank when there is no card yet.
        new: what was generated.
    """
    if not old.strip():
        return new
    before, after = parse_document(old), parse_document(new)
    if before.front is None or after.front is None:
        front = before.front if after.front is None else after.front
    else:
        front = tuple(_merged(before.front, after.front, front_region))
    return join_document(Document(front, tuple(_merged(before.body, after.body, body_region))))


def without_markers(text: str) -> str:
    """A card without its marker lines, for rendering."""
    document = parse_document(text)
    front = None if document.front is None else (Part("", _stripped(document.front, _FRONT)),)
    return join_document(Document(front, (Part("", _stripped(document.body, _BODY)),)))


def _merged(old: Sequence[Part], new: Sequence[Part], empty: Callable[[str, str], str]) -> Iterator[Part]:
    fresh = {part.name: part for part in new if part.name}
    behind = _missing(fresh, {part.name for part in old})
    yield from behind.get("", ())
    done: set[str] = set()
    for part in old:
        if not part.name:
            yield part
        elif part.name in fresh and part.name not in done:
            done.add(part.name)
            yield fresh[part.name]
            yield from behind.get(part.name, ())
        else:
            yield Part(part.name, empty(part.name, ""))


def _missing(fresh: Mapping[str, Part], known: set[str]) -> dict[str, list[Part]]:
    """The parts that are not known, by the name of the known one that they follow; empty at the beginning."""
    behind: dict[str, list[Part]] = {}
    last = ""
    for name, part in fresh.items():
        if name in known:
            last = name
        else:
            behind.setdefault(last, []).append(part)
    return behind


def _parts(lines: Sequence[str], marker: re.Pattern[str]) -> Iterator[Part]:
    text: list[str] = []
    place = 0
    while place < len(lines):
        end = _end_of_region(lines, place, marker)
        if end:
            if text:
                yield Part("", "".join(text))
                text = []
            opening = marker.fullmatch(lines[place])
            assert opening is not None
            yield Part(opening["name"], "".join(lines[place:end]))
            place = end
        else:
            text.append(lines[place])
            place += 1
    if text:
        yield Part("", "".join(text))


def _end_of_region(lines: Sequence[str], start: int, marker: re.Pattern[str]) -> int:
    """The line after the region that begins at `start`, or 0 where none begins."""
    opening = marker.fullmatch(lines[start])
    if opening is None or opening["close"]:
        return 0
    for place in range(start + 1, len(lines)):
        found = marker.fullmatch(lines[place])
        if found is not None:
            return place + 1 if found["close"] and found["name"] == opening["name"] else 0
    return 0


def _stripped(parts: Sequence[Part], marker: re.Pattern[str]) -> str:
    lines = [line for part in parts for line in part.text.splitlines(keepends=True)]
    return "".join(line for line in lines if marker.fullmatch(line) is None)


def _unmarked(content: str, marker: re.Pattern[str]) -> str:
    """Content in which no line can be taken for a marker."""
    lines = content.strip("\n").split("\n")
    return "\n".join(f" {line}" if marker.fullmatch(line) else line for line in lines)
