"""Where a run's code came from and what it ran on: gathered, stored as bytes, and named by one event."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.redact import REDACTED, redact
from charkh.ports.store import Store
from charkh.runs.machine import Machine, allowed_variables, environment_lock, this_machine
from charkh.runs.patch import MAX_NEW_FILE_BYTES
from charkh.runs.run import MAX_TEXT, PROVENANCE_KIND, RunProvenance
from charkh.runs.version_control import CodeState
from charkh.runs.working_tree import read_code


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What was gathered, before it is stored.

    Attributes:
        code: state of the working tree, or None where there is none.
        script: text of the main script where no version control system tells of it, without credentials.
        started_in: the current folder of the process.
        command: the command line, without credentials.
        environment: the installed distributions, one `name==version` a line.
        variables: the environment variables of the allow-list.
        machine: what it runs on.
        program: path of the main script below the root of the working tree, or its name.
    """

    code: CodeState | None
    script: str
    started_in: str
    command: tuple[str, ...]
    environment: str
    variables: dict[str, str]
    machine: Machine
    program: str = ""


def collect(folder: Path) -> Provenance:
    """Gather the provenance of code in `folder`; what cannot be known is left out, and nothing is refused."""
    code = read_code(folder)
    return Provenance(
        code=code,
        script=_script() if code is None or code.dirty is None else "",
        started_in=_current_folder(),
        command=redacted_command(sys.orig_argv),
        environment=environment_lock(),
        variables=allowed_variables(os.environ),
        machine=this_machine(),
        program=_program(code.root if code is not None else ""),
    )


def provenance_draft(store: Store, run: str, provenance: Provenance) -> Draft:
    """Put the bytes into the vault, and the fact that names them; the caller flushes the vault before it records.

    Raises:
        Unavailable: the vault cannot be written.
    """
    code = provenance.code or CodeState()
    command = canonical_json(list(provenance.command))
    variables = canonical_json(provenance.variables) if provenance.variables else b""
    blobs = {
        "patch": _put(store, code.patch, "patch.diff"),
        "script": _put(store, provenance.script.encode("utf-8", "replace"), "script.py"),
        "command": _put(store, command, "command.json"),
        "environment": _put(store, provenance.environment.encode(), "environment.txt"),
        "variables": _put(store, variables, "variables.json"),
    }
    machine = provenance.machine
    body = RunProvenance(
        run=run,
        system=code.system,
        commit=code.commit,
        branch=code.branch,
        remote=code.remote,
        dirty=code.dirty,
        root=redact(code.root)[:MAX_TEXT],
        folder=code.folder,
        started_in=redact(provenance.started_in)[:MAX_TEXT],
        program=redact(provenance.program)[:MAX_TEXT],
        patch_cut=code.patch_cut,
        python=machine.python,
        platform=machine.platform,
        cpus=machine.cpus,
        memory=machine.memory,
        gpus=machine.gpus,
        **blobs,
    )
    held = tuple(sorted({blob.held for blob in blobs.values() if blob is not None}))
    return Draft(kind=PROVENANCE_KIND, subject=f"run:{run}", body=body, holds=held)


def redacted_command(arguments: Sequence[str]) -> tuple[str, ...]:
    """A command line without credentials, also where a flag and its value are two arguments."""
    kept: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        alone = redact(argument)
        is_value = before.startswith("-") and redact(f"{before} {argument}").endswith(REDACTED)
        kept.append(REDACTED if is_value else alone)
    return tuple(kept)


def _put(store: Store, data: bytes, hint: str) -> FileRef | None:
    return store.vault.put_bytes(data, hint) if data else None


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        # It was removed under the process.
        return ""


def _program(root: str) -> str:
    """The main script; empty in an interactive session."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str):
        return ""
    script = Path(path).absolute()
    return script.relative_to(root).as_posix() if root and script.is_relative_to(root) else script.name


def _script() -> str:
    """The text of the script that runs, where it is a small file."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str) or path.endswith(".pyc"):
        return ""
    try:
        script = Path(path)
        if script.stat().st_size > MAX_NEW_FILE_BYTES:
            return ""
        return redact(script.read_text("utf-8", "replace"))
    except OSError:
        return ""
