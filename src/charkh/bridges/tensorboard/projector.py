"""Embeddings of the projector plugin: `projector_config.pbtxt`, and the tables and pictures that it names, as media."""

import re
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from charkh.bridges.tensorboard.media import ARRAY_MIME, Item, npy
from charkh.bridges.tensorboard.pieces import media_draft
from charkh.bridges.tensorboard.reader import Timed
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt
from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.ports.store import Store
from charkh.runs.held import HeldAmong

CONFIG = "projector_config.pbtxt"
MAX_BYTES = 512 << 20
TABLE = "text/tab-separated-values; charset=utf-8"
Message = dict[str, list[Any]]
_TOKEN = re.compile(r"""\s*(?:#[^\n]*\s*)*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{}<>:;,]|[^\s{}<>:;,"']+)""")


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the config; paths are relative to its folder."""

    name: str
    tensor: str = ""
    metadata: str = ""
    sprite: str = ""
    sprite_size: tuple[int, ...] = ()


def parse_config(text: str) -> tuple[Embedding, ...]:
    """The embeddings of a config in the text format of protocol buffers.

    Raises:
        Corrupt: it is none.
    """
    tokens = _TOKEN.findall(text)
    message, rest = _message(tokens, 0, 0)
    if rest != len(tokens):
        raise _bad("a bracket closes nothing")
    found: list[Embedding] = []
    for place, fields in enumerate(_messages(message, "embeddings")):
        sprite = next(iter(_messages(fields, "sprite")), Message())
        found.append(
            Embedding(
                name=_text(fields, "tensor_name") or f"embedding_{place}",
                tensor=_text(fields, "tensor_path"),
                metadata=_text(fields, "metadata_path"),
                sprite=_text(sprite, "image_path"),
                sprite_size=tuple(int(size) for size in sprite.get("single_image_dim", []) if str(size).isdigit()),
            )
        )
    return tuple(found)


def projector_media(store: Store, folder: Path, run: str, time: float) -> list[tuple[str, Draft]]:
    """The embeddings of a folder that its run has not yet, with the digest of each.

    Raises:
        Corrupt: the config is none, or names what lies outside of the folder.
        OSError: a file cannot be read.
    """
    config = folder / CONFIG
    if not config.is_file():
        return []
    found: list[tuple[str, Draft]] = []
    for embedding in parse_config(config.read_text("utf-8", "replace")):
        if not embedding.tensor:
            continue
        items = _items(folder, embedding)
        digest = digest_of(b"\0".join(each.payload for each in items))
        segment = digest_of(f"tensorboard\0{run}\0projector\0{embedding.name}\0{digest}".encode())[:32]
        if segment in store.queries.ask(HeldAmong(segments=(segment,))):
            continue
        timed = [Timed(each, _step(embedding.tensor), time, 1) for each in items]
        found.append((digest, media_draft(store, run, segment, 1, timed)))
    return found


def _items(folder: Path, embedding: Embedding) -> list[Item]:
    vectors = _vectors(_read(folder, embedding.tensor))
    details: dict[str, Any] = {"shape": list(vectors.shape), "name": embedding.name[:200]}
    items = [Item(embedding.name, "embedding", ARRAY_MIME, npy(vectors), details)]
    if embedding.metadata:
        text = redact(_read(folder, embedding.metadata).decode("utf-8", "replace"))
        items.append(
            Item(f"{embedding.name}/metadata", "file", TABLE, text.encode(), {"embedding": embedding.name[:200]})
        )
    if embedding.sprite:
        sprite = _read(folder, embedding.sprite)
        said = {"embedding": embedding.name[:200], "size": list(embedding.sprite_size)}
        items.append(Item(f"{embedding.name}/sprite", "image", "image/png", sprite, said))
    return items


def _vectors(data: bytes) -> Any:
    rows = [line.split("\t") for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    try:
        return np.array([[float(cell) for cell in row] for row in rows], np.float32)
    except ValueError as error:
        raise _bad(f"its vectors are no table of numbers: {error}") from error


def _read(folder: Path, name: str) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise _bad(f"{name!r} lies outside of {folder.name}")
    if path.stat().st_size > MAX_BYTES:
        raise _bad(f"{name!r} has more than {MAX_BYTES} bytes")
    return path.read_bytes()


def _step(path: str) -> int:
    """The step in `00010/default/tensors.tsv`, as PyTorch's writer lays it."""
    first = path.partition("/")[0]
    return int(first) if first.isdigit() and len(first) < 19 else 0


def _message(tokens: list[str], place: int, depth: int) -> tuple[Message, int]:
    found: Message = {}
    if depth > 20:
        raise _bad("it is nested too deep")
    while place < len(tokens) and tokens[place] not in ("}", ">"):
        name = tokens[place]
        place += 1
        if name in (",", ";"):
            continue
        if place < len(tokens) and tokens[place] == ":":
            place += 1
        if place >= len(tokens):
            raise _bad(f"{name!r} has no value")
        value: Any
        if tokens[place] in ("{", "<"):
            value, place = _message(tokens, place + 1, depth + 1)
            if place >= len(tokens):
                raise _bad("a bracket is open")
        elif tokens[place] in ("}", ">", ":", ",", ";"):
            raise _bad(f"{name!r} has no value")
        else:
            value = _scalar(tokens[place])
        found.setdefault(name, []).append(value)
        place += 1
    return found, place


def _scalar(token: str) -> str:
    if token[:1] not in ('"', "'"):
        return token
    try:
        return token[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1").decode()
    except UnicodeError:
        return token[1:-1]


def _messages(message: Message, name: str) -> list[Message]:
    return [cast(Message, each) for each in message.get(name, []) if isinstance(each, dict)]


def _text(message: Message, name: str) -> str:
    value = message.get(name, [""])[-1]
    return value if isinstance(value, str) else ""


def _bad(reason: str) -> Corrupt:
    return Corrupt(f"{CONFIG} cannot be read: {reason}", code="tensorboard.bad_projector")
