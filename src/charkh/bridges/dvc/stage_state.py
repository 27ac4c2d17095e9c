"""What a stage's files and params are now, what its lock says they were, and the lock as DVC writes it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from charkh.bridges.dvc.hashes import DirectoryEntry, directory_oid, oid_of_file
from charkh.bridges.dvc.params import parse_params, select_params
from charkh.bridges.dvc.pointers import SCHEMA
from charkh.bridges.dvc.stages import Stage
from charkh.bridges.dvc.template import PARAMS
from charkh.bridges.dvc.yaml_text import dump_yaml, load_for_update, update
from charkh.core.errors import Invalid, NotFound

_SKIPPED = {".git", ".hg", ".dvc", ".svn", ".charkh"}


class Measured(NamedTuple):
    """A file or folder as it is: what DVC calls its content, bytes, files of a folder (with their places on disk)."""

    oid: str
    size: int
    executable: bool
    files: tuple[DirectoryEntry, ...] | None

    def entry(self, path: str) -> dict[str, Any]:
        """As a lock says it."""
        return {
            "path": path,
            "hash": "md5",
            "md5": self.oid,
            "size": self.size,
            **({"nfiles": len(self.files)} if self.files is not None else {}),
            **({"isexec": True} if self.executable else {}),
        }


class StageState(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage needs, as it is now.

    Attributes:
        deps: what each path holds, by path as it is written.
        params: the values, by file and key.
    """

    deps: dict[str, Measured]
    params: dict[str, dict[str, Any]]


def measure(path: Path) -> Measured:
    """What a file or folder holds; links are followed, as DVC does.

    Raises:
        NotFound: there is nothing.
    """
    if path.is_dir():
        found: list[DirectoryEntry] = []
        size = 0
        for inside, place in sorted(_walk(path)):
            found.append(DirectoryEntry(inside, oid_of_file(place)))
            size += place.stat().st_size
        return Measured(directory_oid(found), size, False, tuple(found))
    if not path.is_file():
        raise NotFound(f"there is no {path}", code="dvc.no_file", hint="Make it, or get it with `dvc pull`.")
    status = path.stat()
    return Measured(oid_of_file(path), status.st_size, bool(status.st_mode & 0o100), None)


def state_of(root: Path, stage: Stage) -> StageState:
    """What the stage needs, as it is on disk.

    Raises:
        NotFound: a dependency or a params file is not there.
        Invalid: a param is not there, or a dependency is none that lies in the repository.
    """
    deps: dict[str, Measured] = {}
    for path in stage.deps:
        if "://" in path or Path(path).is_absolute():
            raise Invalid(
                f"{stage.address} needs {path}, which lies outside of the repository",
                code="dvc.outside",
                hint="Run this stage with `dvc repro`.",
            )
        deps[path] = measure(root / stage.place(path))
    params: dict[str, dict[str, Any]] = {}
    for path, keys in stage.params.items():
        place = root / stage.place(path)
        if not place.is_file():
            raise NotFound(f"{stage.address} takes params from {path}, which is not there", code="dvc.no_file")
        params[path] = select_params(parse_params(place.read_text(encoding="utf-8"), path), keys, path)
    return StageState(deps=deps, params=params)


def reasons_to_run(root: Path, stage: Stage, state: StageState, locked: Mapping[str, Any] | None) -> list[str]:
    """Why the stage is not what its lock says; nothing when it is."""
    if stage.always_changed:
        return ["it always runs"]
    if not (stage.deps or stage.params or stage.outputs):
        return ["it names nothing that it needs or makes"]
    if locked is None:
        return ["it has not run yet"]
    reasons = ["its command changed"] if locked.get("cmd") != _plain_cmd(stage) else []
    was = {str(each["path"]): each.get("md5") for each in cast(list[dict[str, Any]], locked.get("deps") or [])}
    for path, now in state.deps.items():
        if was.get(path) != now.oid:
            reasons.append(f"{path} {'changed' if path in was else 'is new'}")
    reasons += [f"{path} is no dependency any more" for path in was if path not in state.deps]
    known = cast(dict[str, dict[str, Any]], locked.get("params") or {})
    for path, values in state.params.items():
        before = known.get(path) or {}
        keys = [*values, *(key for key in before if key not in values)]
        reasons += [
            f"{path}: {key} changed"
            for key in keys
            if key not in before or key not in values or values[key] != before[key]
        ]
    reasons += [f"{path}: its params count no more" for path in known if path not in state.params]
    return reasons + changed_outputs(root, stage, locked)


def changed_outputs(root: Path, stage: Stage, locked: Mapping[str, Any]) -> list[str]:
    """What of a stage's outputs is not what its lock says."""
    reasons: list[str] = []
    outs = {str(each["path"]): each.get("md5") for each in cast(list[dict[str, Any]], locked.get("outs") or [])}
    for output in stage.outputs:
        place = root / stage.place(output.path)
        if output.path not in outs:
            reasons.append(f"{output.path} is a new output")
        elif not place.exists():
            reasons.append(f"{output.path} is not there")
        elif measure(place).oid != outs[output.path]:
            reasons.append(f"{output.path} changed")
    made = {output.path for output in stage.outputs}
    return reasons + [f"{path} is no output any more" for path in outs if path not in made]


def lock_entry(stage: Stage, state: StageState, outs: Mapping[str, Measured]) -> dict[str, Any]:
    """The stage as `dvc.lock` says it: paths in order, `params.yaml` first."""
    params = {
        path: {key: values[key] for key in sorted(values)}
        for path, values in sorted(state.params.items(), key=lambda item: (item[0] != PARAMS, item[0]))
    }
    return {
        "cmd": _plain_cmd(stage),
        **({"deps": [state.deps[path].entry(path) for path in sorted(state.deps)]} if state.deps else {}),
        **({"params": params} if params else {}),
        **({"outs": [outs[path].entry(path) for path in sorted(outs)]} if outs else {}),
    }


def write_lock(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Put a stage's entry into a lock file; the others stay as they are."""
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    document: Any = load_for_update(before, str(path)) if before.strip() else {"schema": SCHEMA, "stages": {}}
    stages = cast(dict[str, Any], document["stages"] if "schema" in document else document)
    if name in stages:
        update(stages[name], entry)
        # An update keeps the order of what was there; DVC's is the order of its fields.
        ordered = [key for key in ("cmd", "deps", "params", "outs") if key in stages[name]]
        for key in ordered:
            stages[name].move_to_end(key)
    else:
        stages[name] = dict(entry)
    text = dump_yaml(document)
    if text != before:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def _plain_cmd(stage: Stage) -> str | list[str]:
    return stage.cmd if isinstance(stage.cmd, str) else list(stage.cmd)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [each for each in folders if each not in _SKIPPED]
        for name in names:
            path = Path(place) / name
            yield path.relative_to(folder).as_posix(), path
