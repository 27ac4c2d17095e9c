"""How far a spool has been shipped: one small file that the shipping process writes and everybody else reads."""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

FILE = "shipped.json"
PACKS_FILE = "shipped-packs"
"""A line for each pack that the server has, or does not take."""
LOCK = "shipping.lock"
"""Held by the process that ships."""
NUDGE = "nudge"
"""Touched by who waits: the process that ships looks at once."""
USERS = "writers.lock"
"""Held, shared, by every process that may write into the spool."""


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """What the server has.

    Attributes:
        facts: by segment, how many of its facts.
        records: by open data segment, how many of its records.
        trouble: why the last attempt failed; empty where it did not.
        at: when the last attempt ended, in seconds since the epoch.
        refused: packs that the server does not take, such as for what was erased there.
    """

    facts: dict[str, int] = {}
    records: dict[str, int] = {}
    trouble: str = ""
    at: float = 0.0
    refused: dict[str, str] = {}


def read_shipped(spool: Path) -> Shipped:
    """What a spool's file says; nothing where there is none."""
    try:
        return msgspec.json.decode((spool / FILE).read_bytes(), type=Shipped)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Shipped()


def write_shipped(spool: Path, shipped: Shipped) -> None:
    """Replace the file. On a full disk the old one stays: what was shipped is then shipped again, and nothing twice."""
    path = spool / FILE
    waiting = path.with_name(f".{FILE}-{os.getpid()}")
    with contextlib.suppress(OSError):
        waiting.write_bytes(msgspec.json.encode(msgspec.structs.replace(shipped, at=time.time())))
        waiting.replace(path)


def read_packs(spool: Path) -> set[str]:
    """The packs that need not be shipped any more, by name."""
    try:
        return set((spool / PACKS_FILE).read_text().split())
    except FileNotFoundError:
        return set()


def note_pack(spool: Path, name: str) -> None:
    """Add a pack to those that need not be shipped any more. On a full disk it is asked for once more, and no harm."""
    with contextlib.suppress(OSError), (spool / PACKS_FILE).open("a") as file:
        file.write(f"{name}\n")


def waiting_packs(spool: Path) -> list[str]:
    """The packs of a spool that the server has not, by name."""
    try:
        listed = [path.name for path in (spool / "packs" / "pack").iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    return sorted(set(listed) - read_packs(spool)) if listed else []


def waiting_facts(known: Mapping[str, int], shipped: Shipped) -> int:
    """How many of these facts the server has not."""
    return sum(max(0, count - shipped.facts.get(segment, 0)) for segment, count in known.items())
