"""Encrypted blobs: a wrapper of any medium that learns neither contents nor names (docs/formats/remotes.md).

A content is sealed in segments with AES-256-GCM after the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár,
"Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015): each object has a key of its own, made
of the master key, its name and a random salt; a nonce says which segment it is and whether it is the last. So a segment
cannot be changed, moved, left out or taken from another object. Names are encrypted part by part with AES-SIV
(RFC 5297), the same name always alike, so that a name can be looked up and nobody can confirm a digest by it.
"""

import base64
import binascii
import contextlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from blake3 import blake3

from charkh.core.errors import Corrupt, Denied, Invalid, NotFound, Unavailable
from charkh.ports.blobs import BlobInfo, Blobs
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix
from charkh.stores.remote_key import KEY_BYTES, MAKE_KEY

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

MARKER = "encrypted.json"
FORMAT = 1
SEGMENT = 64 * 1024
TAG = 16
SALT = 32
LENGTH = 8
TRAILER = SALT + LENGTH + TAG
"""The salt, and the sealed length of the content; at the end, where a pack's reader begins."""

_NAMES_CONTEXT = "charkh 2026 remote encryption names 1"
_CONTENT_CONTEXT = "charkh 2026 remote encryption contents 1"
_CHECK_CONTEXT = "charkh 2026 remote encryption key check 1"
_LENGTH_NONCE = b"\xff" * 12
_LAYOUTS = 4096


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """`encrypted.json`, in the clear: how the medium is encrypted, and which key that takes.

    Attributes:
        format: of names and contents.
        check: derived from the key; it tells a wrong key and gives nothing of the right one.
    """

    format: int
    check: str


class _Layout(NamedTuple):
    """What an object's trailer says: the cipher of its segments, and the length of its content."""

    cipher: "AESGCM"
    size: int


class EncryptedBlobs:
    """The blobs port over another medium, encrypted with one key; `open_encrypted` looks whether it is the right one.

    Sizes and times of writing of objects, how many there are, and which lie in one folder, can be seen by whoever sees
    the medium; contents and names cannot.
    """

    def __init__(self, blobs: Blobs, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Invalid(f"a key has {KEY_BYTES} bytes, not {len(key)}", code="remote.bad_key", hint=MAKE_KEY)
        self._blobs = blobs
        self._names = _siv(_derive(_NAMES_CONTEXT, key, 64))
        self._contents = _derive(_CONTENT_CONTEXT, key, KEY_BYTES)
        self._layouts: OrderedDict[str, _Layout] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, key: str) -> bool:
        return self._blobs.has(self._hidden(parse_key(key)))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        hidden = self._hidden(parse_key(key))
        try:
            if start == 0 and length is None:
                return self._whole(key, self._blobs.get(hidden))
            if start < 0:
                return self._tail(key, hidden, -start, length)
            return self._range(key, hidden, self._layout(key, hidden), start, length)
        except NotFound as error:
            self._forget(key)
            raise no_such_blob(key, "the encrypted remote") from error

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        content = memoryview(b"".join(parts))
        salt = secrets.token_bytes(SALT)
        cipher = self._cipher(parse_key(key), salt)
        count = _segments(len(content))
        sealed: list[bytes | memoryview] = [
            cipher.encrypt(_nonce(at, last=at == count - 1), content[at * SEGMENT : (at + 1) * SEGMENT], None)
            for at in range(count)
        ]
        sealed += [salt, cipher.encrypt(_LENGTH_NONCE, len(content).to_bytes(LENGTH, "little"), None)]
        self._blobs.put(self._hidden(key), sealed)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        folder = parse_prefix(prefix).rpartition("/")[0]
        for info in self._blobs.list(f"{self._hidden(folder)}/" if folder else ""):
            key = self._shown(info.key)
            if key is not None and key.startswith(prefix):
                yield BlobInfo(key, _plain_size(info.size), info.modified)

    def delete(self, key: str) -> None:
        self._forget(key)
        self._blobs.delete(self._hidden(parse_key(key)))

    def set_aside(self, key: str) -> None:
        """Keep an object that does not open, as it is, under `quarantine/` of the medium, and take it out."""
        hidden = self._hidden(parse_key(key))
        with contextlib.suppress(NotFound):
            self._blobs.put(f"quarantine/{hidden.replace('/', '-')}", [self._blobs.get(hidden)])
        self.delete(key)

    def _whole(self, key: str, sealed: bytes) -> bytes:
        layout = self._opened(key, sealed[-TRAILER:])
        body = memoryview(sealed)[: len(sealed) - TRAILER]
        if len(body) != _sealed_size(layout.size):
            raise _damaged(key)
        return b"".join(self._unsealed(key, layout, body, 0))

    def _tail(self, key: str, hidden: str, count: int, length: int | None) -> bytes:
        """The end of a content: one request tells its length and brings the segments."""
        reach = TRAILER + (count // SEGMENT + 2) * (SEGMENT + TAG)
        sealed = self._blobs.get(hidden, -reach)
        layout = self._remember(key, self._opened(key, sealed[-TRAILER:]))
        start = max(0, layout.size - count)
        first = start // SEGMENT
        body = memoryview(sealed)[: len(sealed) - TRAILER]
        skip = len(body) - (_sealed_size(layout.size) - first * (SEGMENT + TAG))
        if skip < 0:
            raise _damaged(key)
        content = b"".join(self._unsealed(key, layout, body[skip:], first))[start - first * SEGMENT :]
        return content if length is None else content[:length]

    def _range(self, key: str, hidden: str, layout: _Layout, start: int, length: int | None) -> bytes:
        end = layout.size if length is None else min(layout.size, start + max(0, length))
        if start >= end:
            return b""
        first, last = start // SEGMENT, (end - 1) // SEGMENT
        stop = min((last + 1) * (SEGMENT + TAG), _sealed_size(layout.size))
        begin = first * (SEGMENT + TAG)
        body = memoryview(self._blobs.get(hidden, begin, stop - begin))
        if len(body) != stop - begin:
            raise _damaged(key)
        content = b"".join(self._unsealed(key, layout, body, first))
        return content[start - first * SEGMENT : end - first * SEGMENT]

    def _unsealed(self, key: str, layout: _Layout, body: memoryview, first: int) -> Iterator[bytes]:
        count = _segments(layout.size)
        for at in range(0, len(body), SEGMENT + TAG):
            number = first + at // (SEGMENT + TAG)
            nonce = _nonce(number, last=number == count - 1)
            yield _open(key, layout.cipher, nonce, body[at : at + SEGMENT + TAG])

    def _layout(self, key: str, hidden: str) -> _Layout:
        with self._lock:
            known = self._layouts.get(key)
        return known or self._remember(key, self._opened(key, self._blobs.get(hidden, -TRAILER)))

    def _remember(self, key: str, layout: _Layout) -> _Layout:
        with self._lock:
            self._layouts[key] = layout
            if len(self._layouts) > _LAYOUTS:
                self._layouts.popitem(last=False)
        return layout

    def _forget(self, key: str) -> None:
        with self._lock:
            self._layouts.pop(key, None)

    def _opened(self, key: str, trailer: bytes) -> _Layout:
        if len(trailer) != TRAILER:
            raise _damaged(key)
        cipher = self._cipher(key, trailer[:SALT])
        size = _open(key, cipher, _LENGTH_NONCE, memoryview(trailer)[SALT:])
        return _Layout(cipher, int.from_bytes(size, "little"))

    def _cipher(self, key: str, salt: bytes) -> "AESGCM":
        # Here, because the extra is there only where something is encrypted.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        # The name is part of the key: an object under another's name does not open.
        return AESGCM(blake3(salt + key.encode(), key=self._contents).digest())

    def _hidden(self, key: str) -> str:
        above = b""
        parts: list[str] = []
        for part in key.split("/"):
            sealed = self._names.encrypt(part.encode(), [above])
            parts.append(base64.b32encode(sealed).decode().rstrip("=").lower())
            above += part.encode() + b"/"
        return "/".join(parts)

    def _shown(self, hidden: str) -> str | None:
        """The name behind an encrypted one; None for what is none of this key's."""
        # As above.
        from cryptography.exceptions import InvalidTag

        above = b""
        parts: list[str] = []
        for part in hidden.split("/"):
            try:
                sealed = base64.b32decode(part.upper() + "=" * (-len(part) % 8))
                name = self._names.decrypt(sealed, [above])
            except (binascii.Error, InvalidTag, ValueError):
                return None
            parts.append(name.decode())
            above += name + b"/"
        return "/".join(parts)


def is_encrypted(blobs: Blobs) -> bool:
    """Whether a medium holds an encrypted remote."""
    return blobs.has(MARKER)


def open_encrypted(blobs: Blobs, key: bytes, *, create: bool = True) -> EncryptedBlobs:
    """The blobs behind the encryption; with `create`, a medium without any is marked as encrypted with this key.

    Raises:
        Denied: it was encrypted with another key.
        Invalid: a later charkh encrypted it.
        Corrupt: what says so cannot be read.
        Unavailable: the extra is not installed.
    """
    opened = EncryptedBlobs(blobs, key)
    check = _derive(_CHECK_CONTEXT, key, 16).hex()
    try:
        data = blobs.get(MARKER)
    except NotFound:
        if not create:
            return opened
        blobs.put(MARKER, [msgspec.json.encode(Marker(format=FORMAT, check=check))])
        data = blobs.get(MARKER)
    try:
        marker = msgspec.json.decode(data, type=Marker)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"{MARKER} of the remote cannot be read: {error}",
            code="remote.damaged",
            hint="Restore it from a copy, or delete it: with the right key it is written anew.",
        ) from error
    if marker.format > FORMAT:
        raise Invalid(
            f"the remote is encrypted in format {marker.format}; this charkh knows up to {FORMAT}",
            code="remote.too_new",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    if not secrets.compare_digest(marker.check, check):
        raise Denied(
            "the remote was encrypted with another key",
            code="remote.wrong_key",
            hint='Ask whoever set it up for the key file, and name it in the remote\'s settings: key = "…".',
        )
    return opened


def _derive(context: str, key: bytes, length: int) -> bytes:
    return blake3(key, derive_key_context=context).digest(length=length)


def _siv(key: bytes) -> "AESSIV":
    try:
        # Here, because the extra is there only where something is encrypted.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError as error:
        raise Unavailable(
            "encrypted remotes need an extra",
            code="extra.missing",
            hint="Install it with: pip install 'charkh[encryption]'",
        ) from error
    return AESSIV(key)


def _open(key: str, cipher: "AESGCM", nonce: bytes, sealed: memoryview) -> bytes:
    # As above.
    from cryptography.exceptions import InvalidTag

    try:
        return cipher.decrypt(nonce, sealed, None)
    except (InvalidTag, ValueError) as error:
        raise _damaged(key) from error


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "little") + bytes([last])


def _segments(size: int) -> int:
    """Segments of a content; an empty one has one."""
    return max(1, -(-size // SEGMENT))


def _sealed_size(size: int) -> int:
    return size + _segments(size) * TAG


def _plain_size(stored: int) -> int:
    """The length of a content from that of its object."""
    body = stored - TRAILER
    return max(0, body - -(-body // (SEGMENT + TAG)) * TAG)


def _damaged(key: str) -> Corrupt:
    return Corrupt(
        f"the encrypted object {key} was changed, cut, or put under another's name",
        code="remote.tampered",
        hint="Run `charkh sync --verify` where its content is: it is set aside and sent again.",
        facts={"key": key},
    )
