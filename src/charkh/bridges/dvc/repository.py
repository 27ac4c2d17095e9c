"""A DVC repository on disk: its root, its settings, its cache, and the outputs that its files name."""

import contextlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from charkh.bridges.dvc.config import DvcRemote, cache_folder, read_config, which_remote
from charkh.bridges.dvc.pointers import LOCK, PIPELINE, SUFFIX, Output, parse_lock, parse_pointer
from charkh.bridges.dvc.remote import FolderObjects
from charkh.bridges.dvc.stages import Stage, read_stages
from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.core.refs import parse_name

_PARAMS = {"params.yaml", "params.json", "params.toml", "params.py"}
_SKIPPED = {".git", ".hg", ".svn", ".dvc", ".charkh", "node_modules", "__pycache__"}


class Tracked(NamedTuple):
    """An output and where it lies.

    Attributes:
        path: of the file or folder, relative to the repository's root.
        output: what is said about it.
        said_in: the file that says it, relative to the root.
    """

    path: str
    output: Output
    said_in: str


class DvcRepository(NamedTuple):
    """An opened repository.

    Attributes:
        root: the folder with `.dvc`.
        config: its settings.
        cache: its local cache.
    """

    root: Path
    config: Mapping[str, Mapping[str, str]]
    cache: FolderObjects

    def remote(self, name: str = "") -> DvcRemote:
        """The remote of this name, or the default one."""
        return which_remote(self.config, name)


def open_repository(path: Path) -> DvcRepository:
    """The repository that `path` lies in.

    Raises:
        NotFound: there is none.
    """
    start = path.resolve()
    root = next((folder for folder in (start, *start.parents) if (folder / ".dvc" / "config").is_file()), None)
    if root is None:
        root = next((folder for folder in (start, *start.parents) if (folder / ".dvc").is_dir()), None)
    if root is None:
        raise NotFound(
            f"{path} is in no DVC repository", code="dvc.no_repository", hint="Name the folder that has .dvc in it."
        )
    config = read_config(root / ".dvc")
    return DvcRepository(root, config, FolderObjects(cache_folder(config, root / ".dvc")))


def is_dvc_file(path: str) -> bool:
    """Whether a path of a repository is that of a file which names outputs."""
    name = posixpath.basename(path)
    return name in {LOCK, PIPELINE} or (name.endswith(SUFFIX) and name != SUFFIX)


def is_read(path: str) -> bool:
    """Whether a file says what the outputs are: one that names them, or the usual params that it may be made of."""
    return is_dvc_file(path) or posixpath.basename(path) in _PARAMS


def files_on_disk(root: Path) -> dict[str, str]:
    """The `.dvc` files, `dvc.yaml`, `dvc.lock` and params of the working copy: path and text."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if each not in _SKIPPED)
        for name in sorted(names):
            path = Path(folder) / name
            inside = path.relative_to(root).as_posix()
            if is_read(inside) and path.is_file():
                found[inside] = path.read_text(encoding="utf-8")
    return found


def tracked_outputs(texts: Mapping[str, str]) -> tuple[list[Tracked], list[tuple[str, str]]]:
    """The outputs that DVC keeps in its cache, by path, and what could not be read: (file, reason).

    Args:
        texts: the `.dvc` files, `dvc.yaml`, `dvc.lock` and params of one state, by path.
    """
    found: dict[str, Tracked] = {}
    failed: list[tuple[str, str]] = []
    for path, text in sorted(texts.items()):
        name = posixpath.basename(path)
        if name == PIPELINE or not is_dvc_file(path):
            continue
        try:
            outputs = _locked(path, text, texts) if name == LOCK else parse_pointer(text, path)
            for output in outputs:
                if output.cached and (output.oid or output.files):
                    place = _inside(posixpath.dirname(path), output)
                    found[place] = Tracked(place, output, path)
        except Invalid as error:
            failed.append((path, error.message))
    return [found[path] for path in sorted(found)], failed


def dataset_name(path: str, prefix: str = "") -> str:
    """The name of the dataset for a path of a repository; characters that no name holds become `_`.

    Raises:
        Invalid: the prefix or what it makes is no name.
    """
    parts = [_word(part) for part in PurePosixPath(path).parts]
    return parse_name("/".join([*([prefix.strip("/")] if prefix else []), *parts]), "dataset name")


def dataset_names(paths: Iterable[str], prefix: str = "") -> dict[str, str]:
    """A name for each path; where two would have one name, the later in order gets a number.

    Raises:
        Invalid: a name cannot be made.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in sorted(paths):
        name, number = dataset_name(path, prefix), 2
        while name in taken:
            name, number = f"{dataset_name(path, prefix)}-{number}", number + 1
        names[path] = name
        taken.add(name)
    return names


def _word(part: str) -> str:
    kept = "".join(c if c.isalnum() or c in "_.-" else "_" for c in part).lstrip(".-")
    return kept.strip() or "_"


def _inside(folder: str, output: Output) -> str:
    place = posixpath.normpath(posixpath.join(folder, output.wdir, output.path))
    if place.startswith(("../", "/")) or "://" in output.path or place == ".." or Path(output.path).is_absolute():
        raise Invalid(
            f"{output.path} lies outside of the repository",
            code="dvc.outside",
            hint="Add it with `charkh dataset add`.",
        )
    return place


def _locked(path: str, text: str, texts: Mapping[str, str]) -> Iterator[Output]:
    """The outputs of a lock file with the folders that its stages work in; what is not cached is left out."""
    pipeline = path.removesuffix(LOCK) + PIPELINE
    folder = posixpath.dirname(path)
    stages: dict[str, Stage] = {}
    # A lock may be older than its pipeline: what cannot be read there takes nothing from what was made.
    with contextlib.suppress(CharkhError):
        given = {each: said for each, said in texts.items() if posixpath.basename(each) != PIPELINE or each == pipeline}
        stages = {stage.name: stage for stage in read_stages(given)}
    for output in parse_lock(text, path):
        stage = stages.get(output.stage)
        if stage is None:
            yield output
            continue
        if not any(each.path == output.path and not each.cached for each in stage.outputs):
            yield msgspec.structs.replace(output, wdir=posixpath.relpath(stage.folder or ".", folder or "."))
