"""Which run a process writes and as whom, read from the environment of whoever launched it.

`CHARKH_RUN_ID` names the run for every process that shares it; `CHARKH_RUN_STARTER` beside it says that
another process has started it already, and `CHARKH_RUN_FOLDER` in which workspace, for a child that works in another
folder. torchrun's variables say the same without any setting.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.ids import ID_PATTERN, new_id

RUN_VARIABLE = "CHARKH_RUN_ID"
STARTER_VARIABLE = "CHARKH_RUN_STARTER"
FOLDER_VARIABLE = "CHARKH_RUN_FOLDER"
_VARIABLES = (RUN_VARIABLE, STARTER_VARIABLE, FOLDER_VARIABLE)
MAIN_WRITER = "0"
CLIENT_WRITER = "client"
"""The one writer of all points that a server records for its clients (`charkh.runs.recorder`)."""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What this process is in a run.

    Attributes:
        run: id of the run.
        writer: name of this process among the run's writers: its rank, or rank and process id.
        starter: it begins and ends the run; the others only add to it.
        launched: the run was named by a launcher, so that a next one is named alike.
    """

    run: str
    writer: str
    starter: bool
    launched: bool = False


def find_membership(environment: Mapping[str, str], number: int = 0) -> Membership:
    """The run that the environment names, or a new one.

    Args:
        environment: `os.environ`.
        number: how many runs a launcher has named for this process before; every rank counts alike.

    Raises:
        Invalid: torchrun's variables do not tell two runs on several machines apart.
    """
    rank = environment.get("RANK", MAIN_WRITER)
    named = environment.get(RUN_VARIABLE, "")
    if named:
        starter = environment.get(STARTER_VARIABLE, "")
        if starter == str(os.getpid()):
            return Membership(run=new_id(), writer=MAIN_WRITER, starter=True)
        if starter:
            return Membership(run=shared_id(named), writer=child_writer(rank), starter=False)
        return _launched(shared_id(named, number), rank)
    if "RANK" in environment and "WORLD_SIZE" in environment and "MASTER_PORT" in environment:
        return _launched(_torch_id(environment, number), rank)
    return Membership(run=new_id(), writer=MAIN_WRITER, starter=True)


def shared_id(named: str, number: int = 0) -> str:
    """The run id that a launcher's word means: itself when it is an id, otherwise one made from it."""
    text = named.strip().removeprefix("run:")
    if number:
        return _made_from(f"named {text} {number}")
    return text if ID_PATTERN.fullmatch(text) else _made_from(f"named {text}")


class _Announced:
    """The runs that this process is in, told to the processes that it starts through the environment."""

    def __init__(self) -> None:
        self._runs: list[tuple[str, str]] = []
        self._outside: dict[str, str] = {}

    def add(self, run: str, folder: str = "") -> None:
        """Let processes started from now on join this run, which is recorded in the workspace of `folder`."""
        if not self._runs:
            self._outside = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        self._runs.append((run, folder))
        self._tell()

    def remove(self, run: str) -> None:
        """Undo `add`; runs may end in any order."""
        self._runs = [each for each in self._runs if each[0] != run]
        self._tell()

    def _tell(self) -> None:
        for name in _VARIABLES:
            os.environ.pop(name, None)
        if not self._runs:
            os.environ.update(self._outside)
            return
        run, folder = self._runs[-1]
        os.environ.update({RUN_VARIABLE: run, STARTER_VARIABLE: str(os.getpid())})
        if folder:
            os.environ[FOLDER_VARIABLE] = folder


announced = _Announced()


def joined_folder(environment: Mapping[str, str]) -> str:
    """The workspace's folder of the run that another process has started and this one joins; empty where none says."""
    starter = environment.get(STARTER_VARIABLE, "")
    return environment.get(FOLDER_VARIABLE, "") if starter and starter != str(os.getpid()) else ""


def child_writer(writer: str) -> str:
    """The writer's name of a process that a writer started: it never stands for the writer itself."""
    return f"{writer.partition('.')[0]}.{os.getpid()}"


def writer_order(writer: str) -> tuple[int, int, str]:
    """Sorts writers: rank 0 before rank 1, each before the processes that it started, others last."""
    rank, dot, process = writer.partition(".")
    if not rank.isdecimal() or (dot and not process.isdecimal()):
        return (1 << 62, 0, writer)
    return (int(rank), int(process) if dot else -1, writer)


def _launched(run: str, rank: str) -> Membership:
    return Membership(run=run, writer=rank, starter=rank == MAIN_WRITER, launched=True)


def _torch_id(environment: Mapping[str, str], number: int) -> str:
    launch = environment.get("TORCHELASTIC_RUN_ID", "none")
    port = f"{environment['MASTER_PORT']} {number}"
    nodes = environment.get("GROUP_WORLD_SIZE", "1")
    if nodes != "1":
        if launch == "none":
            raise Invalid(
                "several machines train together, and nothing tells this launch from the next",
                code="run.launch_unnamed",
                hint="Start torchrun with --rdzv-id=NAME, a new one for each launch, or set CHARKH_RUN_ID everywhere.",
            )
        return _made_from(f"torchrun {launch} {environment.get('MASTER_ADDR')} {port}")
    # One machine: the agent that launched the ranks, and stays while it restarts them, is their parent.
    return _made_from(f"torchrun {launch} {port} {os.getppid()} {_start_of(os.getppid())}")


def _start_of(process: int) -> str:
    """When a process began, in ticks since the machine did; empty where the system does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _made_from(text: str) -> str:
    return digest_of(text.encode())[:32]
