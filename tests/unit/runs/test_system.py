"""What is measured of the machine: real counters, NVIDIA's library as it answers, and a thread that costs nothing."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs import system_gpu
from charkh.runs.history import metric_names
from charkh.runs.index import PROJECTION
from charkh.runs.run import SYSTEM_CONTEXT
from charkh.runs.start import start
from charkh.runs.system import Meter
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def test_this_machine_is_measured(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "x = bytearray(60_000_000); input()"], stdin=subprocess.PIPE)
    try:
        sum(number * number for number in range(300_000))
        time.sleep(0.3)
        found = meter.sample()
    finally:
        child.communicate(b"\n")
    assert found["system/disk"] > 0
    assert found["system/process_cpu"] > 0
    if sys.platform == "linux":
        assert 0 <= found["system/cpu"] <= 100
        assert 0 < found["system/memory_share"] <= 100
        # The child's memory counts among this process's.
        assert found["system/process_memory"] > 60_000_000
        assert found["system/network_received"] >= 0
    assert all(value == value and name.startswith("system/") for name, value in found.items())


def test_samples_stand_in_a_context_of_their_own(store: Store, tmp_path: Path) -> None:
    run = start(store)
    run.watch_system(0.05, tmp_path)
    run.watch_system(0.05, tmp_path)
    run.log({"loss": 0.5})
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not _sampled(store, run.id):
        time.sleep(0.02)
    run.end()
    assert _sampled(store, run.id) >= 1
    assert {each.key for each in metric_names(store, run.id) if not each.context} == {"loss"}


def test_a_short_run_costs_no_sample(store: Store, tmp_path: Path) -> None:
    with start(store) as run:
        run.watch_system(3600, tmp_path)
        (thread,) = [each for each in threading.enumerate() if each.name == "charkh-system"]
        assert thread.daemon
    thread.join(10)
    assert not thread.is_alive()
    assert metric_names(store, run.id) == ()


def _sampled(store: Store, run: str) -> int:
    return sum(each.key == "system/disk" and each.context == SYSTEM_CONTEXT for each in metric_names(store, run))


SOURCE = """
typedef struct { unsigned gpu, memory; } use_t;
typedef struct { unsigned long long total, free, used; } memory_t;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = (void *)(unsigned long)(i + 1); return 0; }
int nvmlDeviceGetUtilizationRates(void *h, use_t *u) { u->gpu = 40 + (unsigned long)h; u->memory = 1; return 0; }
int nvmlDeviceGetMemoryInfo(void *h, memory_t *m) { m->total = 1000; m->free = 250; m->used = 750; return 0; }
int nvmlDeviceGetPowerUsage(void *h, unsigned *w) { *w = 123500; return (unsigned long)h == 2 ? 3 : 0; }
int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *t) { *t = 61 + sensor; return 0; }
"""


def test_cards_are_asked_through_the_drivers_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["cc", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("a library in the driver's place needs a C compiler")
    (tmp_path / "nvml.c").write_text(SOURCE)
    library = tmp_path / "libnvml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "nvml.c"], check=True)
    monkeypatch.setattr(system_gpu, "_NAMES", (str(library),))
    assert system_gpu.Cards().sample() == {
        "system/gpu.0.use": 41.0,
        "system/gpu.0.memory": 750.0,
        "system/gpu.0.memory_share": 75.0,
        "system/gpu.0.power": 123.5,
        "system/gpu.0.temperature": 61.0,
        "system/gpu.1.use": 42.0,
        "system/gpu.1.memory": 750.0,
        "system/gpu.1.memory_share": 75.0,
        "system/gpu.1.temperature": 61.0,
    }


def test_without_a_driver_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_gpu, "_NAMES", ("libno-such-thing.so",))
    assert system_gpu.Cards().sample() == {}
    # A library of another kind is no driver.
    monkeypatch.setattr(system_gpu, "_NAMES", ("libc.so.6",))
    assert system_gpu.Cards().sample() == {}
