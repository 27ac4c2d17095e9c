"""A set of names in one mapped file that the processes of a server share; the kernel frees it with the last of them.

As with the meters (`charkh.stores.meters_file`), the file has no name, its descriptor is handed down, and a process
takes a slot by a lock that ends with it. In the slot stands the number of the state that the process heeds. A state is
written beside the one before and counts once its number is there, so that who reads needs no lock.
"""

import fcntl
import mmap
import os
import struct
import tempfile

import msgspec

from charkh.core.errors import Invalid, Unavailable
from charkh.stores.meters_file import memory_folder
from charkh.stores.slots import free_slot, take_slot

SLOTS = 256
ROOM = 1 << 20
"""Bytes of one state."""

_NUMBER = struct.Struct("=Q")
_BEGIN = 4096
"""Where the first of the two states lies; before it the number of the last one, and of each slot the one it heeds."""
_SIZE = _BEGIN + 2 * ROOM
_WRITER = SLOTS
"""The byte that who writes has locked."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, ...]).decode


def open_names() -> int:
    """A new, empty set, as the descriptor to hand to every process (`pass_fds`); sparse until it is used."""
    with tempfile.TemporaryFile(prefix="charkh-names-", dir=memory_folder()) as file:
        os.ftruncate(file.fileno(), _SIZE)
        return os.dup(file.fileno())


class FileNames:
    """See `charkh.ports.shared_names.SharedNames`.

    A descriptor must not be opened twice in one process: closing one would let go of the slot of the other.

    Args:
        table: a descriptor that `open_names` made here or in the parent.

    Raises:
        Unavailable: every slot is held.
    """

    def __init__(self, table: int) -> None:
        self._table = table
        self._map = mmap.mmap(table, _SIZE)
        self._read = 0
        self._slot = self._take()
        self.read()
        self.heed()

    def read(self) -> frozenset[str]:
        """See `charkh.ports.shared_names.SharedNames`."""
        while True:
            number = self._number()
            state = self._state(number)
            # Two changes meanwhile, and what was read may be half of one state and half of another.
            if self._number() == number:
                self._read = number
                return _names(state)

    def put(self, name: str, *, present: bool) -> None:
        """See `charkh.ports.shared_names.SharedNames`."""
        fcntl.lockf(self._table, fcntl.LOCK_EX, 1, _WRITER)
        try:
            number = self._number()
            names = _names(self._state(number))
            state = _encode(sorted(names | {name} if present else names - {name}))
            if _NUMBER.size + len(state) > ROOM:
                raise Invalid(f"there is no room for the name {name[:40]!r}", code="names.full")
            at = _BEGIN + (number + 1) % 2 * ROOM
            _NUMBER.pack_into(self._map, at, len(state))
            self._map[at + _NUMBER.size : at + _NUMBER.size + len(state)] = state
            # The number comes last: who reads believes what it leads to.
            _NUMBER.pack_into(self._map, 0, number + 1)
        finally:
            fcntl.lockf(self._table, fcntl.LOCK_UN, 1, _WRITER)

    def changed(self) -> bool:
        """See `charkh.ports.shared_names.SharedNames`."""
        return self._heeded(self._slot) != self._number() + 1

    def heed(self) -> None:
        """See `charkh.ports.shared_names.SharedNames`."""
        # One more than the number: 0 is a slot that nobody ever had.
        _NUMBER.pack_into(self._map, _place(self._slot), self._read + 1)

    def heeded(self) -> bool:
        """See `charkh.ports.shared_names.SharedNames`."""
        wanted = self._number() + 1
        behind = (slot for slot in range(SLOTS) if 0 < self._heeded(slot) < wanted)
        return not any(slot == self._slot or self._is_held(slot) for slot in behind)

    def _number(self) -> int:
        return int(_NUMBER.unpack_from(self._map, 0)[0])

    def _state(self, number: int) -> bytes:
        at = _BEGIN + number % 2 * ROOM
        (length,) = _NUMBER.unpack_from(self._map, at)
        return bytes(self._map[at + _NUMBER.size : at + _NUMBER.size + length])

    def _heeded(self, slot: int) -> int:
        return int(_NUMBER.unpack_from(self._map, _place(slot))[0])

    def _take(self) -> int:
        found = next((slot for slot in range(SLOTS) if take_slot(self._table, slot)), None)
        if found is None:
            raise Unavailable(
                f"{SLOTS} processes share the names already", code="names.no_slot", hint="Start fewer workers."
            )
        return found

    def _is_held(self, slot: int) -> bool:
        if take_slot(self._table, slot):
            free_slot(self._table, slot)
            return False
        return True


def _names(state: bytes) -> frozenset[str]:
    return frozenset(_decode(state)) if state else frozenset()


def _place(slot: int) -> int:
    return _NUMBER.size * (1 + slot)
