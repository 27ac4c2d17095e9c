"""What the machine does while a run goes on: sampled by a thread of its own, logged as points of the run.

The points stand in the context `system`, so that they are told apart from what the code logs. Everything is read from
the kernel's own files (`/proc`, Linux) or asked of the interpreter where there are none; NVIDIA's cards are asked
through the driver's library (`system_gpu`).
"""

import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from charkh.core.errors import CharkhError
from charkh.runs.points_log import PointsLog
from charkh.runs.run import SYSTEM_CONTEXT

INTERVAL_SECONDS = 10.0
MAX_PROCESSES = 4096
SECTOR_BYTES = 512
"""The kernel counts disk sectors of this size, whatever the disk's own is (Documentation/admin-guide/iostats)."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class SystemSampler:
    """Samples the machine every `interval` seconds into a run's points; the first time when one has passed.

    Threads: `start` and `stop` from any one. The thread reads and appends, and neither decodes nor folds.
    Fork: the child samples nothing; its processes count among the parent's.

    Args:
        points: where the samples go.
        interval: seconds.
        folder: on the disk whose use is watched.
    """

    def __init__(self, points: PointsLog, interval: float, folder: Path) -> None:
        self._points = points
        self._interval = interval
        self._folder = folder
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin; nothing is read before the first interval has passed."""
        threading.Thread(target=self._run, name="charkh-system", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end; it is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        # What has been counted up to here is what the first sample's rates are measured from.
        meter = Meter(self._folder)
        while not self._stop.wait(self._interval):
            try:
                values = meter.sample()
                if values and not self._stop.is_set():
                    self._points.log(values, None, SYSTEM_CONTEXT, None)
            except CharkhError:
                # The run has ended in between.
                return


class Meter:
    """Reads the machine's counters; rates are between one sample and the next.

    Args:
        folder: on the disk whose use is watched.
    """

    def __init__(self, folder: Path) -> None:
        # Here, in the thread that measures: ctypes takes longer to load than a run to start.
        from charkh.runs.system_gpu import Cards

        self._folder = folder
        self._cards = Cards()
        self._before = _counters()
        self._moment = time.monotonic()

    def sample(self) -> Mapping[str, float]:
        """The metrics that this machine can tell; shares in percent, sizes in bytes, rates a second."""
        now, counters = time.monotonic(), _counters()
        passed = max(1e-3, now - self._moment)
        moved = {name: counters[name] - self._before[name] for name in counters if name in self._before}
        self._before, self._moment = counters, now
        found: dict[str, float] = {}
        if moved.get("cpu_all", 0) > 0:
            found["system/cpu"] = 100.0 * moved["cpu_busy"] / moved["cpu_all"]
        if "own_cpu" in moved:
            found["system/process_cpu"] = max(0.0, 100.0 * moved["own_cpu"] / passed)
        for name in ("disk_read", "disk_written", "network_received", "network_sent"):
            if name in moved:
                found[f"system/{name}"] = max(0.0, moved[name] / passed)
        found |= _memory()
        found |= _disk(self._folder)
        found |= self._cards.sample()
        return found


def _counters() -> dict[str, float]:
    """What only grows; whatever this system does not tell is left out."""
    found: dict[str, float] = {}
    cpu = _read("/proc/stat").partition("\n")[0].split()
    if len(cpu) > 5:
        ticks = [float(each) for each in cpu[1:9]]
        found["cpu_all"] = sum(ticks)
        found["cpu_busy"] = sum(ticks) - ticks[3] - ticks[4]
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    found["own_cpu"] = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    found |= _disks()
    found |= _network()
    return found


def _disks() -> dict[str, float]:
    """Bytes read and written by the whole disks; partitions and what is built upon others would count twice."""
    read = written = 0.0
    lines = _read("/proc/diskstats").splitlines()
    for line in lines:
        fields = line.split()
        name = fields[2] if len(fields) > 9 else "loop"
        if not name.startswith(("loop", "ram", "zram", "dm-", "md", "sr")) and Path(f"/sys/block/{name}").exists():
            read += float(fields[5]) * SECTOR_BYTES
            written += float(fields[9]) * SECTOR_BYTES
    return {"disk_read": read, "disk_written": written} if lines else {}


def _network() -> dict[str, float]:
    received = sent = 0.0
    lines = _read("/proc/net/dev").splitlines()[2:]
    for line in lines:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) > 8 and name.strip() != "lo":
            received += float(fields[0])
            sent += float(fields[8])
    return {"network_received": received, "network_sent": sent} if lines else {}


def _memory() -> dict[str, float]:
    found: dict[str, float] = {}
    known = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    if "MemTotal" in known and "MemAvailable" in known:
        total, free = (float(known[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        found["system/memory"] = total - free
        found["system/memory_share"] = 100.0 * (total - free) / total if total else 0.0
    pages = [_pages(process) for process in _processes()]
    if any(pages):
        found["system/process_memory"] = float(sum(pages) * _PAGE)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # The most that it ever was, where nothing tells what it is; kilobytes but for macOS.
        found["system/process_memory_peak"] = float(peak if sys.platform == "darwin" else peak * 1024)
    return found


def _processes() -> list[int]:
    """This process and all that come from it, by the kernel's own lists."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting and len(found) < MAX_PROCESSES:
        process = waiting.pop()
        found.append(process)
        try:
            threads = [each.name for each in Path(f"/proc/{process}/task").iterdir()]
        except OSError:
            continue
        for thread in threads:
            waiting += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
    return found


def _pages(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) if len(fields) > 1 else 0


def _disk(folder: Path) -> dict[str, float]:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return {}
    return {"system/disk": float(usage.used), "system/disk_free": float(usage.free)}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
