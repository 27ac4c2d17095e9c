"""Names and references: `flights@3`, `flights@latest`, `delay@champion`, `run:1f3a`.

A name is a key, never a path: one grammar for every noun and every operating system.
"""

import re
import unicodedata
from typing import NamedTuple

from charkh.core.errors import Invalid

MAX_NAME = 250
_NAME = re.compile(r"\w[\w.\- ]*(?:/\w[\w.\- ]*)*")
_ALIAS = re.compile(r"[A-Za-z_][\w\-]*")
_AUTHOR = re.compile(r"[\w.@+\-]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class VersionRef(NamedTuple):
    """A reference to a version of a named thing: by number, by alias, or the latest.

    `selector` is digits, an alias, or `latest`; `author` tells conflicting numbers apart
    (`flights@3~ann`).
    """

    name: str
    selector: str = "latest"
    author: str = ""

    @property
    def number(self) -> int | None:
        """The version number, when the selector is one."""
        return int(self.selector) if _NUMBER.fullmatch(self.selector) else None

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}" + (f"~{self.author}" if self.author else "")


class Subject(NamedTuple):
    """What a fact is about: a noun and an id, written `noun:id`."""

    noun: str
    id: str

    def __str__(self) -> str:
        return f"{self.noun}:{self.id}"


def parse_name(text: str, what: str = "name") -> str:
    """A name in its canonical form (NFC).

    Raises:
        Invalid: empty, longer than 250 characters, or with characters a name cannot hold.
    """
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= MAX_NAME or not _NAME.fullmatch(_without_marks(name)) or name != name.strip():
        raise Invalid(
            f"{text[:80]!r} is not a {what}",
            code="name.invalid",
            hint="Use letters, digits, '_', '-', '.', spaces and single '/' between words, at most 250 characters.",
        )
    return name


def _without_marks(text: str) -> str:
    """`text` without the combining marks that belong to the letters of many scripts."""
    return "".join(character for character in text if unicodedata.category(character) not in {"Mn", "Mc"})


def parse_alias(text: str, what: str = "an alias", example: str = "champion") -> str:
    """An alias, or another word: neither a number nor `latest`; errors call it `what`."""
    if not _ALIAS.fullmatch(text) or len(text) > MAX_NAME or text == "latest" or re.fullmatch(r"v\d+", text):
        raise Invalid(
            f"{text!r} is not {what}",
            code="alias.invalid",
            hint=f"Use a word such as {example!r}; 'latest' and 'v1' are reserved.",
        )
    return text


def parse_version_ref(text: str) -> VersionRef:
    """`name`, `name@3`, `name@3~ann`, `name@latest` or `name@alias`."""
    name, at, selector = text.partition("@")
    selector, tilde, author = selector.partition("~")
    if at and not selector:
        raise Invalid(f"{text!r} ends in '@'", code="ref.invalid", hint="Write name@3, name@latest or name@alias.")
    if tilde and not (_AUTHOR.fullmatch(author) and len(author) <= MAX_NAME):
        raise Invalid(f"{text!r} names no author", code="ref.invalid", hint="Write name@3~ann.")
    if selector and selector != "latest" and not _NUMBER.fullmatch(selector):
        if selector.removeprefix("-").isdecimal():
            raise Invalid(
                f"{selector} is no version's number", code="ref.invalid", hint=f"Versions count from 1: {name}@1."
            )
        parse_alias(selector)
    return VersionRef(parse_name(name), selector or "latest", author)


def parse_subject(text: str) -> Subject:
    """`noun:id`."""
    noun, colon, identifier = text.partition(":")
    if not colon or not noun or not identifier:
        raise Invalid(f"{text!r} is not a subject", code="ref.invalid", hint="Write noun:id, such as run:1f3a.")
    return Subject(noun, identifier)


def parse_path(text: str) -> str:
    """A path inside a dataset or an artifact tree: relative, `/` between parts, nothing that climbs.

    Raises:
        Invalid: absolute, empty, too long or deep, or with a part that some system would not keep.
    """
    path = unicodedata.normalize("NFC", text)
    if not is_safe_path(path):
        raise Invalid(
            f"{text[:80]!r} is not a path charkh can keep",
            code="path.invalid",
            hint="Rename it: relative, UTF-8, '/' between parts; no '.', '..', '\\', ':' or control characters.",
        )
    return path


def is_safe_path(path: str) -> bool:
    """Whether a path is one that a tree may hold, as it stands; what is NFC is a question for its writer alone."""
    parts = path.split("/")
    return not (
        not path
        or len(path.encode("utf-8", "surrogatepass")) > 1024
        or len(parts) > 32
        or any(part in {"", ".", ".."} for part in parts)
        or any(character in "\\:\x7f" or ord(character) < 32 for character in path)
        or any("\ud800" <= character <= "\udfff" for character in path)
    )
