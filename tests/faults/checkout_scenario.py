"""Adding with a stat cache and checking out through the hot cache, and what must be true of folder and caches after."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from charkh.datasets.add import add_files
from charkh.datasets.checkout import checkout
from charkh.datasets.find import find
from charkh.datasets.walk import PARTIAL
from charkh.workspace.workspace import open_workspace

CONTENTS = {f"{number % 3}/{number:02}.bin": b"%d" % number * (number * 9 + 1) for number in range(12)}
LARGE = bytes(range(256)) * 1200
AGES_AGO = 1_000_000_000


def play_checkout(folder: Path, ack: Callable[[str], None]) -> None:
    """Add a folder twice, and check it out by links, by copies of the cache, and out of the packs."""
    source = _source(folder)
    with open_workspace(folder, create=True) as workspace:
        for _time in range(2):
            add_files(workspace.store, "x", [source], stats=workspace.stat_cache)
        version, cache = find(workspace.store, "x"), workspace.file_cache
        ack("added")
        checkout(workspace.store, version, folder / "linked", cache=cache, link=True)
        ack("linked")
        checkout(workspace.store, version, folder / "copied", cache=cache, fill=True, stats=workspace.stat_cache)
        ack("copied")
        checkout(workspace.store, version, folder / "packs", stats=workspace.stat_cache)
        ack("packs")


def check_checkout(folder: Path, acked: list[str]) -> None:
    """Whatever file is there is whole; what was acknowledged is complete; and going on needs no hand."""
    wanted = {**CONTENTS, "large.bin": LARGE}
    for name in ("linked", "copied", "packs"):
        found = _files(folder / name)
        assert all(wanted[path] == data for path, data in found.items()), name
        if name in acked:
            assert found == wanted
    with open_workspace(folder, create=True) as workspace:
        source = _source(folder)
        version = add_files(workspace.store, "x", [source], stats=workspace.stat_cache)
        if "added" in acked:
            assert version.made.number == 1
        assert workspace.file_cache.verify() == []
        for name, how in (("linked", {"link": True}), ("copied", {"fill": True}), ("packs", {})):
            checkout(
                workspace.store, version, folder / name, cache=workspace.file_cache, stats=workspace.stat_cache, **how
            )
            assert _files(folder / name) == wanted
        held = {path.name for path in workspace.file_cache.folder.glob("??/*")}
        assert len(held) == len(wanted)


def _source(folder: Path) -> Path:
    source = folder / "source"
    for path, data in {**CONTENTS, "large.bin": LARGE}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), (source / path).open("xb") as file:
            file.write(data)
        if (source / path).stat().st_size != len(data):
            (source / path).write_bytes(data)
        os.utime(source / path, (AGES_AGO, AGES_AGO))
    return source


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(PARTIAL)
    }
