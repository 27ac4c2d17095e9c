"""The environment of a run and the one at hand: what differs, and how to build the recorded one with uv."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from charkh.core.errors import Unavailable
from charkh.core.redact import redact

How = Literal["reuse", "uv"]
_TELL = (
    # Without the current folder, which is no part of an environment.
    "import sys; sys.path.pop(0); import platform; from importlib.metadata import distributions\n"
    "print(platform.python_version())\n"
    "for each in distributions(): print(f\"{each.metadata['Name']}=={each.version}\")"
)
_OWN = "charkh"
_MAX_TOLD = 2000


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution, or Python, that is not what it was; empty where there was or is none."""

    name: str
    recorded: str
    now: str


def environment_changes(recorded: str, now: str, python: tuple[str, str]) -> tuple[Changed, ...]:
    """What differs between two environments.

    Args:
        recorded: the installed distributions of the run, one `name==version` a line.
        now: those at hand.
        python: version of the interpreter then and now.
    """
    before, after = (
        {"python": version, **_versions(text)} for version, text in zip(python, (recorded, now), strict=True)
    )
    names = sorted(before.keys() | after.keys(), key=lambda name: (name != "python", name))
    return tuple(
        Changed(name=name, recorded=before.get(name, ""), now=after.get(name, ""))
        for name in names
        if before.get(name) != after.get(name)
    )


def build_environment(folder: Path, recorded: str, python: str) -> Path:
    """A virtual environment in `folder` with the recorded distributions; its interpreter.

    charkh itself is the one that runs where it runs from its source: no index has that.

    Raises:
        Unavailable: uv is not installed, or cannot build it.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise Unavailable(
            "uv is not installed",
            code="replay.no_uv",
            hint="Install it (docs.astral.sh/uv), or replay in the environment at hand: --env reuse.",
        )
    wanted = folder.with_name(f"{folder.name}.txt")
    own = _source_of_charkh()
    wanted.write_text("".join(f"{line}\n" for line in requirements(recorded, own=own is None)), encoding="utf-8")
    _uv(uv, "venv", "--quiet", "--python", python.rpartition(".")[0] or python, str(folder))
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _uv(uv, "pip", "install", "--quiet", "--no-deps", "--python", str(interpreter), "-r", str(wanted))
    if own is not None:
        _link_own(interpreter, own)
    return interpreter


def requirements(recorded: str, *, own: bool) -> list[str]:
    """The recorded distributions as pip takes them; charkh among them only with `own`."""
    return [f"{name}=={version}" for name, version in _versions(recorded).items() if own or name != _OWN]


def installed_in(interpreter: Path) -> tuple[str, str]:
    """The distributions that an interpreter sees, one `name==version` a line, and its own version."""
    version, _, installed = _output(interpreter, _TELL).partition("\n")
    return installed, version


def child_environment(recorded: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process that runs again: ours, with what is on record and without a launcher's word."""
    launched = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE"}
    launcher = ("TORCHELASTIC_", "SLURM_", "MASTER_")
    kept = {**ours, **recorded}
    return {name: kept[name] for name in kept if name not in launched and not name.startswith(launcher)}


def _versions(text: str) -> dict[str, str]:
    """By name of the distribution, its version; names as PEP 503 compares them."""
    pairs = (line.partition("==") for line in text.splitlines() if "==" in line)
    return {name.lower().replace("_", "-").replace(".", "-"): version for name, _, version in pairs}


def _link_own(interpreter: Path, source: Path) -> None:
    """Let an environment import charkh from its source, and say which version that is."""
    purelib = Path(_output(interpreter, "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())
    (purelib / "charkh-source.pth").write_text(f"{source}\n", encoding="utf-8")
    about = purelib / "charkh-source.dist-info"
    about.mkdir()
    said = f"Metadata-Version: 2.1\nName: {_OWN}\nVersion: {version(_OWN)}\n"
    (about / "METADATA").write_text(said, encoding="utf-8")


def _source_of_charkh() -> Path | None:
    """The folder that charkh is imported from, where nothing else is in it."""
    folder = Path(__file__).resolve().parents[2]
    return None if folder.name in {"site-packages", "dist-packages"} else folder


def _output(interpreter: Path, code: str) -> str:
    result = subprocess.run([str(interpreter), "-c", code], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise _failed("the interpreter of the environment", result.stderr)
    return result.stdout


def _uv(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode != 0:
        raise _failed("uv", result.stderr)


def _failed(what: str, told: str) -> Unavailable:
    return Unavailable(
        f"{what} could not give the recorded environment: {redact(told).strip()[:_MAX_TOLD]}",
        code="replay.environment",
        hint="Replay in the environment at hand, which names what differs: --env reuse.",
    )


def interpreter_at_hand() -> Path:
    """The interpreter of this process."""
    return Path(sys.executable)


def python_of(arguments: Sequence[str]) -> bool:
    """Whether a command line begins with a Python interpreter."""
    return bool(arguments) and Path(arguments[0]).name.lower().startswith(("python", "pypy"))
