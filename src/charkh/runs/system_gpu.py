"""NVIDIA's cards, asked through the driver's own library (NVML) by ctypes: no package is needed, and none is loaded."""

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

MOST_CARDS = 64
_TEMPERATURE_OF_THE_CHIP = 0
_FUNCTIONS = ("nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2")
_NAMES = ("libnvidia-ml.so.1", "libnvidia-ml.so")


class _Utilization(ctypes.Structure):
    """`nvmlUtilization_t`: shares of the last second or so, in percent."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`: bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Cards:
    """The cards of this machine; none where there is no driver. What a card does not tell is left out."""

    def __init__(self) -> None:
        self._library: Any = _load()
        self._handles: list[ctypes.c_void_p] = []
        if self._library is not None and self._library.nvmlInit_v2() == 0:
            self._handles = self._find()

    def sample(self) -> Mapping[str, float]:
        """By name such as `system/gpu.0.use`: use in percent, memory in bytes, power in watts, degrees Celsius."""
        found: dict[str, float] = {}
        for number, handle in enumerate(self._handles):
            found |= {f"system/gpu.{number}.{name}": value for name, value in self._ask(handle).items()}
        return found

    def _find(self) -> list[ctypes.c_void_p]:
        count = ctypes.c_uint()
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        found: list[ctypes.c_void_p] = []
        for number in range(min(count.value, MOST_CARDS)):
            handle = ctypes.c_void_p()
            if self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(handle)) == 0:
                found.append(handle)
        return found

    def _ask(self, handle: ctypes.c_void_p) -> dict[str, float]:
        found: dict[str, float] = {}
        use, memory, milliwatts, degrees = _Utilization(), _Memory(), ctypes.c_uint(), ctypes.c_uint()
        library = self._library
        if library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
            found["use"] = float(use.gpu)
        if library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0:
            found["memory"] = float(memory.used)
            found["memory_share"] = 100.0 * memory.used / memory.total if memory.total else 0.0
        if library.nvmlDeviceGetPowerUsage(handle, ctypes.byref(milliwatts)) == 0:
            found["power"] = milliwatts.value / 1000.0
        chip = ctypes.c_uint(_TEMPERATURE_OF_THE_CHIP)
        if library.nvmlDeviceGetTemperature(handle, chip, ctypes.byref(degrees)) == 0:
            found["temperature"] = float(degrees.value)
        return found


def _load() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        # An old driver lacks the newer names; then it is as if there were none.
        return library if all(hasattr(library, each) for each in _FUNCTIONS) else None
    return None
