"""What stages make: put into DVC's cache, recorded as steps of charkh's cache, and brought back from either."""

import shutil
from pathlib import Path
from typing import Any, cast

import msgspec

from charkh.bridges.contents import Contents
from charkh.bridges.dvc.hashes import DirectoryEntry, directory_bytes, hasher, is_directory, is_oid, parse_directory
from charkh.bridges.dvc.pointers import lock_stages
from charkh.bridges.dvc.repository import DvcRepository
from charkh.bridges.dvc.stage_state import (
    Measured,
    StageState,
    changed_outputs,
    lock_entry,
    measure,
    reasons_to_run,
    write_lock,
)
from charkh.bridges.dvc.stages import Stage
from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, Denied, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.pipelines.execution import STEP_DONE_KIND, KeyParts, StepDone, shown_parts
from charkh.pipelines.index import StepsByKey
from charkh.workspace.workspace import Workspace


class StageOutputs:
    """The outputs of one repository's stages.

    Args:
        workspace: has the step cache.
        repository: whose stages.
    """

    def __init__(self, workspace: Workspace, repository: DvcRepository) -> None:
        self._workspace, self._store = workspace, workspace.store
        self._repository, self._root = repository, repository.root

    def made(self, stage: Stage) -> dict[str, Measured]:
        """What the stage made, in DVC's cache where it belongs there."""
        outs: dict[str, Measured] = {}
        for output in stage.outputs:
            place = self._root / stage.place(output.path)
            if not place.exists():
                raise NotFound(
                    f"{stage.address} did not make {output.path}",
                    code="dvc.no_output",
                    hint="Let the command write it, or take it out of dvc.yaml.",
                )
            outs[output.path] = measure(place)
            if output.cached:
                self._into_cache(place, outs[output.path])
                self._ignore(place)
        return outs

    def _into_cache(self, place: Path, made: Measured) -> None:
        cache = self._repository.cache
        if made.files is None:
            cache.place(made.oid, place)
            return
        for entry in made.files:
            cache.place(entry.oid, place / entry.path)
        cache.write(made.oid, [directory_bytes(made.files)])

    def fill_cache(self, stage: Stage) -> None:
        """Outputs that are there and right belong in DVC's cache, too."""
        for output in stage.outputs:
            if output.cached:
                place = self._root / stage.place(output.path)
                made = measure(place)
                if not self._repository.cache.has(made.oid):
                    self._into_cache(place, made)

    def _ignore(self, place: Path) -> None:
        if not (self._root / ".git").exists():
            return
        path, line = place.parent / ".gitignore", f"/{place.name}"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if line not in lines:
            path.write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")

    def record(
        self,
        stage: Stage,
        state: StageState,
        outs: dict[str, Measured],
        run: str,
        seconds: float,
        metrics: dict[str, float],
    ) -> None:
        """Make what a stage made a step of the cache; DVC's cache goes on serving the bytes."""
        contents = Contents(self._workspace.vault)
        entries: list[TreeEntry] = []
        for output in stage.outputs:
            made, place = outs[output.path], self._root / stage.place(output.path)
            for path, oid in made.files if made.files is not None else (("", made.oid),):
                inside = f"{stage.place(output.path)}/{path}".rstrip("/")
                if output.cached:
                    kept = self._repository.cache.path(oid)
                    ref = contents.take(kept, inside, hasher(), oid)
                else:
                    ref = self._workspace.vault.put_file(place / path if path else place)
                entries.append(TreeEntry(inside, ref, made.executable))
        contents.settle()
        tree = self._workspace.vault.put_tree(entries)
        self._workspace.vault.flush()
        parts = key_parts(stage, state)
        done = StepDone(
            step=new_id(),
            name=f"{stage.file}:{stage.name}",
            key=parts.key,
            parts=shown_parts(parts),
            output=tree,
            seconds=seconds,
            metrics=metrics,
            run=run,
            pipeline="dvc",
        )
        subject = f"step:{done.step}"
        edges = (Edge(f"run:{run}", "executed", subject),)
        self._store.record(Draft(kind=STEP_DONE_KIND, subject=subject, body=done, edges=edges, holds=(tree.root,)))

    def restored(self, stage: Stage, state: StageState) -> bool:
        """Whether what the stage makes was in a cache and has been put into place."""
        if any(output.persist for output in stage.outputs) or not stage.outputs:
            return False
        return self._from_steps(stage, state) or self._from_lock(stage, state)

    def _from_steps(self, stage: Stage, state: StageState) -> bool:
        for record in self._store.queries.ask(StepsByKey(key=key_parts(stage, state).key)):
            entries = list(self._workspace.vault.entries(record.done.output.root))
            waiting = self._root / ".dvc" / "tmp" / f"charkh-{new_id()}"
            try:
                for entry in entries:
                    place = waiting / entry.path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with place.open("wb") as file:
                        for data in self._workspace.vault.read(entry.file):
                            file.write(data)
                    place.chmod(0o755 if entry.executable else 0o644)
                for output in stage.outputs:
                    made, place = waiting / stage.place(output.path), self._root / stage.place(output.path)
                    if not made.exists():
                        made.mkdir(parents=True)
                    remove(place)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(made, place)
            except (NotFound, Corrupt, Denied):
                continue
            finally:
                shutil.rmtree(waiting, ignore_errors=True)
            write_lock(self._root / stage.lock_file, stage.name, lock_entry(stage, state, self.made(stage)))
            return True
        return False

    def _from_lock(self, stage: Stage, state: StageState) -> bool:
        """Whether the lock says what comes of the same inputs, and DVC's cache has it."""
        locked = self.locked(stage)
        if locked is None or self._inputs_changed(stage, state, locked):
            return False
        said = cast(list[dict[str, Any]], locked.get("outs") or [])
        outs = {str(each["path"]): str(each.get("md5")) for each in said}
        listed = {output.path: self._listed(outs.get(output.path, "")) for output in stage.outputs if output.cached}
        if len(listed) < len(stage.outputs) or any(files is None for files in listed.values()):
            return False
        for path, files in listed.items():
            place = self._root / stage.place(path)
            remove(place)
            for entry in files or ():
                target = place / entry.path if entry.path else place
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    for data in self._repository.cache.read(entry.oid):
                        file.write(data)
        return not changed_outputs(self._root, stage, locked)

    def _listed(self, oid: str) -> tuple[DirectoryEntry, ...] | None:
        """The objects of an output, by path inside of it; None where DVC's cache lacks one."""
        cache = self._repository.cache
        if not is_oid(oid) or not cache.has(oid):
            return None
        if not is_directory(oid):
            return (DirectoryEntry("", oid),)
        files = parse_directory(b"".join(cache.read(oid)), oid)
        return files if all(cache.has(entry.oid) for entry in files) else None

    def _inputs_changed(self, stage: Stage, state: StageState, locked: Any) -> list[str]:
        outputs = changed_outputs(self._root, stage, locked)
        return [reason for reason in reasons_to_run(self._root, stage, state, locked) if reason not in outputs]

    def locked(self, stage: Stage) -> Any:
        """What the lock says of a stage, or None."""
        path = self._root / stage.lock_file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        return lock_stages(text, stage.lock_file).get(stage.name)


def key_parts(stage: Stage, state: StageState) -> KeyParts:
    """What the key of a stage is made of: its commands and folder, params, dependencies, and which outputs it has."""
    outputs = [[output.path, output.cached] for output in stage.outputs]
    return KeyParts(
        code={"cmd": digest_of(canonical_json([list(stage.commands), stage.folder]))},
        params={path: {key: _sayable(value) for key, value in values.items()} for path, values in state.params.items()},
        inputs={path: f"md5:{made.oid}" for path, made in state.deps.items()},
        environment={},
        declared={"outputs": digest_of(canonical_json(outputs))},
    )


def _sayable(value: Any) -> Any:
    """Dates and the like as text: a key is made of JSON."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def remove(place: Path) -> None:
    """Take a file, link or folder away."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
