"""How events name bytes: a file by its content, a tree by its root; no I/O.

Files and entries come in hundred thousands and hold no more than texts, so the garbage collector need not look at them.
"""

import msgspec


class FileRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file's content in the vault.

    Attributes:
        digest: BLAKE3 of the whole content; equal content has an equal digest however it was cut.
        size: bytes.
        root: digest of the chunk list; empty when the content is one chunk, which `digest` names.
    """

    digest: str
    size: int
    root: str = ""

    @property
    def held(self) -> str:
        """The digest that an event holds to keep this content readable."""
        return self.root or self.digest


class TreeEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file of a tree: its path (`/` between parts, `charkh.core.refs.parse_path`) and content."""

    path: str
    file: FileRef
    executable: bool = False


class TreeRef(msgspec.Struct, frozen=True, array_like=True):
    """A set of files, sorted by path. Equal sets have equal roots."""

    root: str
    files: int
    size: int


class TreeChange(msgspec.Struct, frozen=True, array_like=True):
    """One path that differs between two trees; `old` or `new` is None where the path is absent."""

    path: str
    old: FileRef | None
    new: FileRef | None
