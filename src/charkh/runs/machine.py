"""What a run ran on: interpreter, operating system, processors, memory, accelerators, installed distributions."""

import functools
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec

from charkh.core.redact import redact

ALLOWED_VARIABLES = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "CONDA_DEFAULT_ENV",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "HIP_VISIBLE_DEVICES",
        "JAX_PLATFORMS",
        "LANG",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "MKL_NUM_THREADS",
        "NCCL_DEBUG",
        "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "PYTHONHASHSEED",
        "RANK",
        "SLURM_JOB_ID",
        "SLURM_NNODES",
        "SLURM_PROCID",
        "TOKENIZERS_PARALLELISM",
        "TORCHELASTIC_RESTART_COUNT",
        "TORCHELASTIC_RUN_ID",
        "TZ",
        "WORLD_SIZE",
        "XLA_FLAGS",
    }
)
"""The environment variables that are recorded; every other stays out of the store."""

MAX_VARIABLE = 1000


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and its interpreter; `memory` is in bytes."""

    host: str
    python: str
    platform: str
    cpus: int
    memory: int
    gpus: tuple[str, ...]


@functools.cache
def this_machine() -> Machine:
    """The machine of this process, looked at once."""
    return Machine(
        host=platform.node(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpus=os.cpu_count() or 0,
        memory=_memory(),
        gpus=_accelerators(),
    )


@functools.cache
def environment_lock() -> str:
    """The installed distributions, one `name==version` a line, sorted; read once in a process."""
    found = dict(_named(each) for each in importlib.metadata.distributions())
    return "".join(
        f"{name}=={version}\n" for name, version in sorted(found.items(), key=lambda item: item[0].lower()) if name
    )


def _named(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version, by the head of its metadata: parsing the description behind it takes ten times as long."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    fields = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line[:20])
    return fields.get("Name", "").strip(), fields.get("Version", "").strip()


def allowed_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the allow-list, without credentials."""
    return {name: redact(environment[name])[:MAX_VARIABLE] for name in sorted(ALLOWED_VARIABLES & environment.keys())}


def _memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _accelerators() -> tuple[str, ...]:
    """NVIDIA's cards by the driver's own files; asking their tool takes a second."""
    names: list[str] = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return tuple(names)
