"""CRC-32C of many equally long messages at once: it is linear, so that every byte adds its part by its place."""

from __future__ import annotations

from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]
_MASK = np.uint32(0xA282EAD8)
_POLYNOMIAL = 0x82F63B78


def contributions(distance: int) -> Words:
    """What a byte adds to a CRC-32C, by its value, when so many bytes follow it."""
    while len(_tables) <= distance:
        before = _tables[-1]
        _tables.append((before >> np.uint32(8)) ^ _tables[0][before & np.uint32(0xFF)])
    return _tables[distance]


def added(cells: npt.NDArray[np.uint8], length: int) -> Words:
    """What the bytes of messages add up to: one row for each place, one column for each message."""
    total = np.zeros(cells.shape[1], np.uint32)
    part = np.empty(cells.shape[1], np.uint32)
    for place in range(length):
        # A byte is always an index of its table: `clip` saves the check.
        np.take(contributions(length - 1 - place), cells[place], out=part, mode="clip")
        total ^= part
    return total


def _first_table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & np.uint32(1), (table >> np.uint32(1)) ^ np.uint32(_POLYNOMIAL), table >> np.uint32(1))
    return table.astype(np.uint32)


_tables: list[Words] = [_first_table()]
_zeros: dict[int, int] = {}


def crc_of_zeros(length: int) -> int:
    """The CRC-32C of so many zero bytes."""
    if length not in _zeros:
        _zeros[length] = google_crc32c.value(bytes(length))
    return _zeros[length]


def masked(crc: Words) -> Words:
    rotated: Any = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return rotated + _MASK
