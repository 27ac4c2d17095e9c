"""The stages of a repository: what each runs, needs and makes, and in which order.

Checked against dvc: `dvc/stage`, `dvc/repo/graph.py`, `dvc/repo/reproduce.py`.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from charkh.bridges.dvc.params import parse_params
from charkh.bridges.dvc.pointers import LOCK, PIPELINE
from charkh.bridges.dvc.template import PARAMS, expand_pipeline
from charkh.bridges.dvc.yaml_text import load_yaml
from charkh.core.errors import Conflict, Invalid, NotFound


class StageOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage makes.

    Attributes:
        path: as it is written, relative to the stage's folder.
        kind: `out`, `metric` or `plot`.
        cached: DVC keeps it in its cache; otherwise Git does.
        persist: it is not removed before the stage runs.
        push: it goes to remotes.
        remote: the one it goes to, or empty.
    """

    path: str
    kind: str = "out"
    cached: bool = True
    persist: bool = False
    push: bool = True
    remote: str = ""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage, every expression resolved.

    Attributes:
        name: in its file, such as `train` or `train@3`.
        file: its `dvc.yaml`, relative to the root.
        cmd: a command, or several that run one after the other.
        folder: that commands and paths are relative to, relative to the root; empty for the root.
        deps: paths as they are written.
        params: the keys by file; no keys for the whole file.
        outputs: what it makes.
        frozen: it does not run again, whatever changed.
        always_changed: it always runs.
        desc: what its file says about it.
    """

    name: str
    file: str
    cmd: str | tuple[str, ...]
    folder: str = ""
    deps: tuple[str, ...] = ()
    params: dict[str, tuple[str, ...]] = {}
    outputs: tuple[StageOutput, ...] = ()
    frozen: bool = False
    always_changed: bool = False
    desc: str = ""

    @property
    def address(self) -> str:
        """As DVC addresses it from the root: the name alone where its file lies there."""
        return self.name if self.file == PIPELINE else f"{self.file}:{self.name}"

    @property
    def lock_file(self) -> str:
        return self.file.removesuffix(PIPELINE) + LOCK

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(line for line in self.cmd.splitlines() if line.strip()) if isinstance(self.cmd, str) else self.cmd

    def place(self, path: str) -> str:
        """A path of the stage, relative to the root."""
        return posixpath.normpath(posixpath.join(self.folder, path))


def read_stages(texts: Mapping[str, str], options: Mapping[str, str] | None = None) -> tuple[Stage, ...]:
    """The stages of every `dvc.yaml`, file by file.

    Args:
        texts: the files that stages may name, by path below the root: `dvc.yaml` and params files.
        options: DVC's settings `[parsing]`.

    Raises:
        Invalid: a file or an expression cannot be read.
        Conflict: two stages make the same output.
    """
    loaded: dict[str, Any] = {}

    def load(path: str) -> Any:
        if path not in loaded:
            loaded[path] = parse_params(texts[path], path) if path in texts else None
        return loaded[path]

    found: list[Stage] = []
    for path in sorted(path for path in texts if posixpath.basename(path) == PIPELINE):
        document = cast(Mapping[str, Any], load_yaml(texts[path], path) or {})
        folder = posixpath.dirname(path)
        for name, definition in expand_pipeline(document, folder, load, options).items():
            found.append(parse_stage(name, definition, path))
    _refuse_shared_outputs(found)
    return tuple(found)


def parse_stage(name: str, definition: Mapping[str, Any], file: str) -> Stage:
    """A stage as `dvc.yaml` describes it, expressions resolved.

    Raises:
        Invalid: it has no command, or a field is not what DVC takes.
    """
    cmd: Any = definition.get("cmd")
    if isinstance(cmd, list):
        cmd = tuple(map(str, cast(list[Any], cmd)))
    if not cmd or not isinstance(cmd, str | tuple):
        raise Invalid(f"the stage {name!r} in {file} has no cmd", code="dvc.bad_stage", hint="Write cmd: COMMAND.")
    folder = posixpath.normpath(posixpath.join(posixpath.dirname(file), str(definition.get("wdir") or "")))
    outputs = [
        output
        for key, kind in (("outs", "out"), ("metrics", "metric"), ("plots", "plot"))
        for output in _outputs(definition.get(key) or [], kind)
    ]
    return Stage(
        name=name,
        file=file,
        cmd=cast("str | tuple[str, ...]", cmd),
        folder="" if folder == "." else folder,
        deps=tuple(str(each) for each in cast(list[Any], definition.get("deps") or [])),
        params=_params(definition.get("params") or []),
        outputs=tuple(sorted(outputs, key=lambda output: output.path)),
        frozen=bool(definition.get("frozen")),
        always_changed=bool(definition.get("always_changed")),
        desc=str(definition.get("desc") or ""),
    )


def upstream(stages: Sequence[Stage]) -> dict[str, tuple[str, ...]]:
    """By address, the stages that make what a stage needs."""
    makers = [(stage.place(output.path), stage.address) for stage in stages for output in stage.outputs]
    found: dict[str, tuple[str, ...]] = {}
    for stage in stages:
        needs = [stage.place(each) for each in (*stage.deps, *stage.params)]
        made = (
            maker for place, maker in makers if maker != stage.address and any(_meet(place, need) for need in needs)
        )
        found[stage.address] = tuple(dict.fromkeys(made))
    return found


def in_order(stages: Sequence[Stage], targets: Iterable[str] = (), *, alone: bool = False) -> tuple[Stage, ...]:
    """The stages that the targets need, each after those that make what it needs; all without targets.

    Args:
        stages: of the repository.
        targets: names, groups of a foreach or matrix, `dvc.yaml` files or `FILE:NAME`.
        alone: the targets themselves and nothing that they need.

    Raises:
        NotFound: a target means no stage.
        Conflict: stages need one another in a circle.
    """
    known = {stage.address: stage for stage in stages}
    wanted = [address for target in targets for address in _meant(target, stages)] or list(known)
    if alone:
        return tuple(known[address] for address in dict.fromkeys(wanted))
    above = upstream(stages)
    done: dict[str, Stage] = {}

    def visit(address: str, path: tuple[str, ...]) -> None:
        if address in path:
            circle = " → ".join([*path[path.index(address) :], address])
            raise Conflict(f"stages need one another in a circle: {circle}", code="dvc.circle", hint="Cut it open.")
        if address in done:
            return
        # A frozen stage does not care what became of what it needs.
        for each in () if known[address].frozen else above[address]:
            visit(each, (*path, address))
        done[address] = known[address]

    for address in wanted:
        visit(address, ())
    return tuple(done.values())


def _meant(target: str, stages: Sequence[Stage]) -> list[str]:
    found = [
        stage.address
        for stage in stages
        if target in {stage.address, stage.file, f"{stage.file}:{stage.name}"}
        or stage.address.rpartition("@")[0] == target
    ]
    if not found:
        raise NotFound(
            f"there is no stage {target!r}",
            code="dvc.no_stage",
            hint=f"There are: {', '.join(stage.address for stage in stages[:10]) or 'none'}.",
        )
    return found


def _meet(one: str, other: str) -> bool:
    """Whether the paths are the same, or one lies in the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _outputs(listed: Any, kind: str) -> Iterable[StageOutput]:
    for each in cast(list[Any], listed if isinstance(listed, list) else [listed]):
        if isinstance(each, Mapping):
            for path, flags in cast(Mapping[str, Any], each).items():
                said = cast(Mapping[str, Any], flags or {})
                yield StageOutput(
                    path=str(path),
                    kind=kind,
                    cached=said.get("cache") is not False,
                    persist=bool(said.get("persist")),
                    push=said.get("push") is not False,
                    remote=str(said.get("remote") or ""),
                )
        else:
            yield StageOutput(path=str(each), kind=kind)


def _params(listed: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    whole: set[str] = set()
    for each in listed:
        if isinstance(each, Mapping):
            for path, keys in cast(Mapping[str, Any], each).items():
                if keys:
                    found.setdefault(str(path), []).extend(map(str, cast(list[Any], keys)))
                else:
                    whole.add(str(path))
                    found.setdefault(str(path), [])
        else:
            found.setdefault(PARAMS, []).append(str(each))
    return {path: () if path in whole else tuple(dict.fromkeys(keys)) for path, keys in found.items()}


def _refuse_shared_outputs(stages: Sequence[Stage]) -> None:
    makers: dict[str, str] = {}
    for stage in stages:
        for output in stage.outputs:
            place = stage.place(output.path)
            other = makers.setdefault(place, stage.address)
            if other != stage.address:
                raise Conflict(
                    f"{place} is made by {other} and by {stage.address}",
                    code="dvc.two_makers",
                    hint="Rename one output.",
                )
