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
from charkh.runs.git import MAX_NEW_FILE_BYTES, GitState, read_git
from charkh.runs.machine import Machine, allowed_variables, environment_lock, this_machine
from charkh.runs.run import PROVENANCE_KIND, RunProvenance


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What was gathered, before it is stored.

    Attributes:
        git: state of the working tree, or None where there is none.
        script: text of the main script where git does not have it, without credentials.
        command: the command line, without credentials.
        environment: the installed distributions, one `name==version` a line.
        variables: the environment variables of the allow-list.
        machine: what it runs on.
    """

    git: GitState | None
    script: str
    command: tuple[str, ...]
    environment: str
    variables: dict[str, str]
    machine: Machine


def collect(folder: Path) -> Provenance:
    """Gather the provenance of code in `folder`; what cannot be known is left out, and nothing is refused."""
    git = read_git(folder)
    return Provenance(
        git=git,
        script=_script() if git is None else "",
        command=redacted_command(sys.orig_argv),
        environment=environment_lock(),
        variables=allowed_variables(os.environ),
        machine=this_machine(),
    )


def provenance_draft(store: Store, run: str, provenance: Provenance) -> Draft:
    """Put the bytes into the vault, and the fact that names them; the caller flushes the vault before it records.

    Raises:
        Unavailable: the vault cannot be written.
    """
    git = provenance.git or GitState()
    command = canonical_json(list(provenance.command))
    variables = canonical_json(provenance.variables) if provenance.variables else b""
    blobs = {
        "patch": _put(store, git.patch, "patch.diff"),
        "script": _put(store, provenance.script.encode("utf-8", "replace"), "script.py"),
        "command": _put(store, command, "command.json"),
        "environment": _put(store, provenance.environment.encode(), "environment.txt"),
        "variables": _put(store, variables, "variables.json"),
    }
    machine = provenance.machine
    body = RunProvenance(
        run=run,
        commit=git.commit,
        branch=git.branch,
        remote=git.remote,
        dirty=git.dirty,
        folder=git.folder,
        patch_cut=git.patch_cut,
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
