"""Digests of values, and the memory that spares the encoding of a frame that has been digested before."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from charkh.core.canon import Json
from charkh.core.digests import digest_of
from charkh.pipelines.codecs import BUILT_IN, copy_of
from charkh.pipelines.values import Apart, Codec, Leaf, put_together, take_apart

REMEMBERED = 64
"""Frames whose digests are remembered, the latest used ones."""


class _Remembered(NamedTuple):
    """A frame, how it was then (a copy that shares its memory until one of them is changed), and its digests."""

    frame: Any
    then: Any
    files: Mapping[str, str]


class Digests:
    """Takes values apart and names them by their content.

    A value is digested anew at each call, so that one that was changed in place is another input. Of frames, the
    digest is remembered; before it is used again, the frame is compared with how it was then.

    Args:
        codecs: asked before the built-in ones.
    """

    def __init__(self, codecs: Sequence[Codec] = ()) -> None:
        self.codecs = (*codecs, *BUILT_IN)
        self._frames: OrderedDict[int, _Remembered] = OrderedDict()

    def take_apart(self, value: object) -> Apart:
        """See `charkh.pipelines.values.take_apart`."""
        return take_apart(value, self.codecs)

    def digest(self, value: object) -> str:
        """The digest of a value's content.

        Raises:
            Invalid: there is something in it that cannot be kept.
        """
        return self.digest_apart(self.take_apart(value))

    def digest_apart(self, apart: Apart) -> str:
        """The digest of a value that has been taken apart."""
        return content_digest(apart.form, [(leaf.codec.name, self.leaf_files(leaf)) for leaf in apart.leaves])

    def leaf_files(self, leaf: Leaf) -> Mapping[str, str]:
        """The digests of a leaf's files by name."""
        known = self._frames.get(id(leaf.value))
        if known is not None and known.frame is leaf.value and _is_unchanged(leaf.value, known.then):
            self._frames.move_to_end(id(leaf.value))
            return known.files
        files = {name: digest_of(data) for name, data in leaf.codec.encode(leaf.value).items()}
        self.remember(leaf.value, files)
        return files

    def remember(self, value: Any, files: Mapping[str, str]) -> None:
        """Remember the digests of a frame's files; of other values, which are quick to encode, nothing is kept."""
        if type(value).__name__ not in {"DataFrame", "Series"} or not hasattr(value, "clone"):
            return
        self._frames[id(value)] = _Remembered(value, value.clone(), files)
        self._frames.move_to_end(id(value))
        if len(self._frames) > REMEMBERED:
            self._frames.popitem(last=False)


def content_digest(form: Json, leaves: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """The digest of a value, from its form and, for each leaf, the codec's name and the digests of its files."""
    # Not sorted: the order of a dictionary is a part of it.
    return digest_of(msgspec.json.encode([form, [[name, sorted(files.items())] for name, files in leaves]]))


def own_copy(apart: Apart) -> Any:
    """A copy of a value that a step may change without anybody else seeing it."""
    return put_together(apart.form, [copy_of(leaf.value) for leaf in apart.leaves])


def _is_unchanged(value: Any, then: Any) -> bool:
    if hasattr(value, "schema"):
        return value.schema == then.schema and bool(value.equals(then, null_equal=True))
    return value.name == then.name and value.dtype == then.dtype and bool(value.equals(then, null_equal=True))
