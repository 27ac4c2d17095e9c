"""The command of a run: as it was recorded, as it is run here, and run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from charkh.core.errors import Invalid
from charkh.core.lock import Lock, format_lock
from charkh.core.redact import REDACTED
from charkh.pipelines.index import ExecutionByRun
from charkh.ports.store import Store
from charkh.runs.membership import RUN_VARIABLE, STARTER_VARIABLE
from charkh.runs.run import LargeValue, Run, RunProvenance, json_text
from charkh.workspace.locking import LOCK_VARIABLE
from charkh.workspace.replay_code import Code, mapped, read_bytes
from charkh.workspace.replay_environment import child_environment, python_of
from charkh.workspace.workspace import Workspace

_NOTEBOOKS = ("ipykernel", "colab", "jupyter")
_GOES_ON = ("up", "serve", "loop")
"""Verbs of charkh that run pipelines among other things, or never end."""


def recorded_command(store: Store, known: RunProvenance, run: Run) -> list[str]:
    """The command line of a run; of a pipeline that a server or a loop ran, the one that runs it alone.

    Raises:
        Invalid: it was a notebook, a prompt or a server, where what was run is not in the command line.
    """
    arguments = msgspec.json.decode(read_bytes(store, known.command), type=list[str])
    if not python_of(arguments) or len(arguments) < 2 or any(word in " ".join(arguments[:4]) for word in _NOTEBOOKS):
        raise Invalid(
            f"{run.subject} was recorded from a notebook or a prompt: {' '.join(arguments)[:200]}",
            code="replay.interactive",
            hint="What was typed there is not on record; put it into a script and run that.",
        )
    verb = _charkh_verb(arguments)[:1]
    if not verb or verb[0] not in _GOES_ON:
        return arguments
    execution = store.queries.ask(ExecutionByRun(run=run.id))
    if execution is None:
        raise Invalid(
            f"{run.subject} was recorded inside `charkh {verb[0]}`, which does other things, too",
            code="replay.server",
            hint="Put what made it into a pipeline or a script, and run that.",
        )
    given = [f"{name}={_param(value)}" for name, value in run.params.items() if not isinstance(value, LargeValue)]
    options = [part for each in given for part in ("-p", each)]
    return [arguments[0], "-m", "charkh", "pipeline", "run", execution.pipeline, *options]


def with_secrets(arguments: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """The command line with what redaction took out of it, from variables of the environment.

    Raises:
        Invalid: a variable is not there, or there are fewer than credentials.
    """
    missing = [place for place, argument in enumerate(arguments) if REDACTED in argument]
    absent = [name for name in secrets if name not in os.environ]
    if absent or len(missing) > len(secrets):
        told = ", ".join(f"{arguments[place - 1]} {arguments[place]}" for place in missing)
        raise Invalid(
            f"{absent[0]} is not in the environment" if absent else f"the command line lacks its credentials: {told}",
            code="replay.secret_missing",
            hint="They are never recorded. Put each into a variable and name it, in order: --secret VARIABLE.",
            facts={"arguments": missing},
        )
    filled = list(arguments)
    for place, name in zip(missing, secrets, strict=False):
        filled[place] = filled[place].replace(REDACTED, os.environ[name])
    return filled


def here(arguments: Sequence[str], known: RunProvenance, code: Code, interpreter: Path) -> list[str]:
    """The command line as it is run here: this interpreter, its own programs, and files of the built tree."""
    place = _program_place(arguments)
    command = [str(interpreter), *(mapped(argument, known, code.folder) for argument in arguments[1:])]
    program = Path(arguments[place])
    if not known.commit and program.suffix == ".py":
        command[place] = str(code.folder / program.name)
    elif program.name == "charkh":
        command[place : place + 1] = ["-m", "charkh"]
    elif program.is_absolute() and program.parent.name in {"bin", "Scripts"}:
        command[place] = str(interpreter.with_name(program.name))
    if _charkh_verb(arguments)[:2] == ["pipeline", "run"]:
        # What the cache has would be equal to itself.
        command += ["--force", "*"]
    return command


def _program_place(arguments: Sequence[str]) -> int:
    """Where the script, `-m` or `-c` stands behind the interpreter's own options."""
    place = 1
    while place < len(arguments) - 1 and arguments[place].startswith("-") and arguments[place] not in {"-m", "-c"}:
        place += 2 if arguments[place] in {"-W", "-X"} else 1
    return min(place, len(arguments) - 1)


def _charkh_verb(arguments: Sequence[str]) -> list[str]:
    """The words of a command of charkh without its options in front; empty for another program."""
    place = _program_place(arguments)
    if list(arguments[place : place + 2]) == ["-m", "charkh"]:
        place += 1
    elif Path(arguments[place]).name != "charkh":
        return []
    rest = list(arguments[place + 1 :])
    while rest and rest[0].startswith("-"):
        rest = rest[2 if rest[0] in {"-C", "--workspace"} else 1 :]
    return rest


def _param(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)


def without_secrets(command: Sequence[str], secrets: Sequence[str]) -> tuple[str, ...]:
    """A command line as it may be shown and recorded."""
    shown = list(command)
    for name in secrets:
        value = os.environ.get(name, "")
        shown = [argument.replace(value, REDACTED) if value else argument for argument in shown]
    return tuple(shown)


def execute(
    workspace: Workspace, known: RunProvenance, identifier: str, code: Code, command: Sequence[str], lock: Lock
) -> int:
    """Run the command as the run `identifier`, with the recorded variables and these pins; its exit code."""
    variables = msgspec.json.decode(read_bytes(workspace.store, known.variables) or b"{}", type=dict[str, str])
    environment = child_environment(variables, os.environ)
    environment.pop(STARTER_VARIABLE, None)
    with tempfile.NamedTemporaryFile("w", suffix=".lock", encoding="utf-8") as pinned:
        pinned.write(format_lock(lock))
        pinned.flush()
        environment |= {
            RUN_VARIABLE: identifier,
            LOCK_VARIABLE: pinned.name,
            "CHARKH_WORKSPACE": str(code.workspace),
            "CHARKH_STORE": str(workspace.store_folder),
            "CHARKH_STORE_JOURNAL": workspace.settings.store.journal,
            "CHARKH_STORE_BLOBS": workspace.settings.store.blobs,
        }
        result = subprocess.run(
            command,
            cwd=code.working_folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            # What it prints is for the person who looks on; what the replay came to is on stdout.
            stdout=sys.stderr,
            check=False,
        )
    return result.returncode
