"""One flipped bit in any file of a store: it is found, or it was in a view that is made anew; none is served."""

import json
import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import CharkhError
from charkh.datasets.add import add_files
from charkh.datasets.checkout import checkout
from charkh.datasets.find import find
from charkh.datasets.read import read_table
from charkh.runs.start import start
from charkh.workspace.fsck import check_store
from charkh.workspace.workspace import open_workspace

TABLE = pl.DataFrame({"n": range(20_000), "text": [f"row {n * n}" for n in range(20_000)]})
VIEWS = {"index.sqlite", "catalog.sqlite", "stat.sqlite", "foreign.sqlite"}
"""Made anew from what they are views of."""
NOTES = {".gitignore", "lock", "forget.lock", "token"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    TABLE.write_csv(folder / "rows.csv")
    (folder / "small.txt").write_text("a small file\n")
    with open_workspace(folder, create=True) as workspace:
        version = add_files(workspace.store, "rows", [folder / "rows.csv"])
        add_files(workspace.store, "small", [folder / "small.txt"], as_files=True)
        with start(workspace.store, name="train") as run:
            run.use(version.subject)
            run.log({"loss": 1.0})
        workspace.file_cache.fill(workspace.vault, list(workspace.vault.entries(version.made.tree.root)))
        workspace.file_cache.close()
    return folder


def kinds(folder: Path) -> dict[str, list[Path]]:
    """The files of a store by kind; locks and notes for people are none."""
    found: dict[str, list[Path]] = {}
    store = folder / ".charkh"
    for path in sorted(store.rglob("*")):
        place = path.relative_to(store)
        if path.is_file() and path.stat().st_size and path.name not in NOTES and "-" not in path.suffix:
            kind = place.parts[0] if len(place.parts) == 1 else "/".join((place.parts[0], place.parts[1]))
            found.setdefault("packs" if place.parts[0] == "packs" else kind, []).append(path)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_found_and_never_served(whole: Path, tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    for kind, paths in kinds(whole).items():
        folder = tmp_path / kind.replace("/", "-")
        shutil.copytree(whole, folder, symlinks=True)
        chosen = source.choice(paths)
        path = folder / chosen.relative_to(whole)
        data = bytearray(path.read_bytes())
        place = source.randrange(len(data))
        data[place] ^= 1 << source.randrange(8)
        path.chmod(0o600)
        path.write_bytes(data)
        told = f"{chosen.relative_to(whole)}, byte {place}"
        assert look(folder, kind, whole) or chosen.name in VIEWS or "cache" in kind, f"nobody saw {told}"


def look(folder: Path, kind: str, whole: Path) -> bool:
    """Whether verification finds something; what is read meanwhile is right or refused."""
    try:
        with open_workspace(folder) as workspace:
            store = workspace.store
            try:
                assert read_table(store, find(store, "rows@1")).equals(TABLE), kind
                checkout(store, find(store, "small@1"), folder / "out", cache=workspace.file_cache)
                assert (folder / "out" / "small.txt").read_text() == "a small file\n", kind
            except CharkhError:
                pass
            report = check_store(workspace, level="everything")
            same = (
                kind == "format.json"
                and workspace.identifier == json.loads((whole / ".charkh" / kind).read_bytes())["store"]
            )
            return not report.sound or report.caches > 0 or same
    except CharkhError:
        return True
