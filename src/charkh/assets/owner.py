"""Who holds a lock on a medium, and whether that process is known to be dead.

A process is told apart by its machine, the machine's boot, its namespace of process numbers and the moment it started:
a number alone comes again, and containers of one machine count their own.
"""

import os
import socket
import sys
import time
from pathlib import Path

import msgspec

from charkh.core.ids import new_id

_PROC = Path("/proc")


class LockOwner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock, as written into it.

    Attributes:
        token: tells two takings apart.
        pid: of the process.
        host: its machine's name.
        command: what it does, the program's name and its verb, without arguments.
        since: seconds since the epoch when it took the lock, by its own clock.
        machine: id of the machine, where it has one.
        boot: id of the machine's boot, where it has one.
        space: the namespace that counts its processes, where there is one.
        started: when the process started, in the machine's own count; empty where it does not say.
    """

    token: str
    pid: int
    host: str
    command: str = ""
    since: float = 0.0
    machine: str = ""
    boot: str = ""
    space: str = ""
    started: str = ""

    def __str__(self) -> str:
        what = f" ({self.command})" if self.command else ""
        since = f", since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}" if self.since else ""
        return f"process {self.pid}{what} on {self.host}{since}"


def this_process() -> LockOwner:
    """The owner that this process is."""
    pid = os.getpid()
    return LockOwner(
        token=new_id(),
        pid=pid,
        host=socket.gethostname(),
        command=command_line(),
        since=time.time(),
        machine=_text(Path("/etc/machine-id")),
        boot=_text(_PROC / "sys/kernel/random/boot_id"),
        space=_space(),
        started=_started(pid),
    )


def is_dead(owner: LockOwner) -> bool:
    """Whether the owner's process is known to have ended; False where nobody can tell from here."""
    here = this_process()
    if owner.boot != here.boot:
        # A machine that has booted since runs none of its processes any more.
        return bool(owner.machine) and owner.machine == here.machine and owner.host == here.host
    if owner.host != here.host or owner.space != here.space:
        return False
    if owner.started:
        return _started(owner.pid) != owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def command_line() -> str:
    """What this process was started as: the program and its first words, without options or what follows them."""
    words: list[str] = []
    for word in sys.argv[1:3]:
        if not word.isalpha():
            break
        words.append(word)
    return " ".join([Path(sys.argv[0]).name if sys.argv else "", *words]).strip()


def _started(pid: int) -> str:
    """Field 22 of proc(5)'s `stat`; the program's name before it may hold spaces and parentheses."""
    fields = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    # Of a zombie only the name of its end is left.
    return fields[19] if len(fields) > 19 and fields[0] not in {"Z", "X"} else ""


def _space() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
