"""Colleagues who work apart and exchange: both ways, through a remote and with one another, in any order."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.conftest import COMPONENTS

from charkh.assets.erase import erase
from charkh.assets.index import Erasures
from charkh.assets.reach import reach
from charkh.assets.vault import PackVault
from charkh.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from charkh.datasets.add import add_files
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.lineage.index import HeldDigests
from charkh.models.alias import move_alias
from charkh.models.decisions import RegisterModel
from charkh.models.index import ModelVersions
from charkh.models.model import VersionMade
from charkh.ports.blobs import BlobInfo, Blobs
from charkh.ports.remote import Remote
from charkh.ports.runtimes import Safety, Signature
from charkh.runs.history import metric_history
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.stores.exchange_blobs import FACTS, BlobsExchange
from charkh.testing.projections import dump_tables
from charkh.workspace import remotes, syncing
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.remote_settings import add_remote, forget_remote, look_at, new_remote_key
from charkh.workspace.remotes import open_remote
from charkh.workspace.sync_status import sync_status
from charkh.workspace.syncing import SyncReport, fetch, missing_at, only_here, sync
from charkh.workspace.workspace import Workspace, open_workspace

BIG = random.Random(7).randbytes(300_000)
"""A content of several chunks."""


class Office(NamedTuple):
    """A folder in which colleagues have their workspaces, and the remote that they share."""

    folder: Path

    @property
    def team(self) -> str:
        return str(self.folder / "team")

    def open(self, name: str) -> Workspace:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("CHARKH_ACTOR", f"{name}@laptop")
            (self.folder / name).mkdir(exist_ok=True)
            return open_workspace(self.folder / name, create=True)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture
def ann(office: Office) -> Iterator[Workspace]:
    with office.open("ann") as workspace:
        yield workspace


@pytest.fixture
def bob(office: Office) -> Iterator[Workspace]:
    with office.open("bob") as workspace:
        yield workspace


def add(
    workspace: Workspace, name: str, content: bytes, *, file: str = "a.bin", append: bool = False
) -> DatasetVersion:
    path = workspace.folder / file
    path.write_bytes(content)
    return add_files(workspace.store, name, [path], append=append)


def content_of(workspace: Workspace, version: DatasetVersion) -> dict[str, bytes]:
    vault = workspace.store.vault
    return {entry.path: b"".join(vault.read(entry.file)) for entry in vault.entries(version.made.tree.root)}


def lacking(workspace: Workspace) -> set[bytes]:
    """What is held and not here."""
    roots = workspace.store.queries.ask(HeldDigests())
    found = reach(workspace.vault, roots, workspace.vault.erased.now())
    return found.missing | found.unknown


def damage(folder: Path, at: int = 200) -> Path:
    """Flip a bit in the largest pack of a medium."""
    path = max((each for each in (folder / "pack").iterdir()), key=lambda each: each.stat().st_size)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(data))
    return path


def moved(report: SyncReport) -> tuple[int, ...]:
    return (report.facts_sent, report.facts_taken, report.bytes_sent, report.bytes_taken)


def test_what_one_adds_another_reads(office: Office, ann: Workspace, bob: Workspace) -> None:
    made = add(ann, "flights", BIG)
    sent = sync(ann, office.team)
    assert (sent.facts_sent, sent.facts_taken, sent.complete) == (1, 0, True)
    assert sent.bytes_sent > 0
    taken = sync(bob, office.team)
    assert (taken.facts_sent, taken.facts_taken, taken.complete) == (0, 1, True)
    assert content_of(bob, find(bob.store, "flights@1")) == content_of(ann, made)
    assert lacking(bob) == set()


def test_a_second_sync_moves_nothing_and_reads_no_pack(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    sync(ann, office.team)
    sync(bob, office.team)
    for workspace in (ann, bob):
        assert moved(sync(workspace, office.team)) == (0, 0, 0, 0)
    listed = {path.name for path in (office.folder / "team").rglob("*") if path.is_file()}
    sync(ann, office.team)
    assert {path.name for path in (office.folder / "team").rglob("*") if path.is_file()} == listed
    assert only_here(ann) == frozenset()


def test_an_appended_version_sends_what_is_new(office: Office, ann: Workspace) -> None:
    content = random.Random(1).randbytes(2_000_000)
    add(ann, "flights", content)
    first = sync(ann, office.team)
    add(ann, "flights", content + b"a few more bytes" * 10)
    second = sync(ann, office.team)
    assert first.bytes_sent > 1_900_000
    assert 0 < second.bytes_sent < 700_000


def test_directly_with_a_colleagues_workspace(ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    add(bob, "weather", BIG[:5000])
    report = sync(ann, str(bob.folder))
    assert (report.facts_sent, report.facts_taken) == (1, 1)
    for workspace in (ann, bob):
        assert [each.name for each in workspace.store.queries.ask(Datasets())] == ["flights", "weather"]
        assert lacking(workspace) == set()


def test_both_took_one_number(office: Office, ann: Workspace, bob: Workspace) -> None:
    hers, his = add(ann, "flights", b"hers"), add(bob, "flights", b"his")
    assert hers.ref == his.ref == "flights@1"
    sync(ann, office.team)
    report = sync(bob, office.team)
    (conflict,) = report.conflicts
    assert (conflict.noun, conflict.ref) == ("dataset", "flights@1")
    assert set(conflict.refs) == {"flights@1~ann", "flights@1~bob"}
    assert set(conflict.authors) == {"ann@laptop", "bob@laptop"}
    sync(ann, office.team)
    for workspace in (ann, bob):
        assert content_of(workspace, find(workspace.store, "flights@1~ann")) == {"a.bin": b"hers"}
        assert content_of(workspace, find(workspace.store, "flights@1~bob")) == {"a.bin": b"his"}
        with pytest.raises(Conflict):
            find(workspace.store, "flights@1")
    assert add(ann, "flights", b"next").made.number == 2


def test_runs_travel_with_their_points(office: Office, ann: Workspace, bob: Workspace) -> None:
    with start(ann.store, name="train", params={"rate": 0.1}) as run:
        for step in range(5):
            run.log({"auc": step / 10}, step=step)
        run.add_artifact("notes.txt", b"a note")
        identifier = run.id
    sync(ann, office.team)
    sync(bob, office.team)
    curve = metric_history(bob.store, identifier, "auc")
    assert curve.values.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [each.id for each in search(bob.store)] == [identifier]
    assert lacking(bob) == set()


def test_only_pushing_and_only_pulling(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    add(bob, "weather", BIG[:9000])
    sync(bob, office.team)
    assert sync(ann, office.team, pull=False).facts_taken == 0
    assert [each.name for each in ann.store.queries.ask(Datasets())] == ["flights"]
    assert sync(bob, office.team, push=False).facts_taken == 1
    add(ann, "more", b"x")
    assert moved(sync(ann, office.team, push=False))[0] == 0
    assert sync(bob, office.team).facts_taken == 0
    assert sync(ann, office.team).facts_sent == 1
    assert lacking(ann) == lacking(bob) == set()


def test_a_dry_run_changes_nothing(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    sync(ann, office.team)
    add(bob, "weather", b"x" * 9000)
    report = sync(bob, office.team, dry_run=True)
    assert report.facts_sent == report.facts_taken == 1
    assert report.bytes_sent > 0
    assert report.bytes_taken > 0
    assert bob.store.queries.ask(Datasets())[0].name == "weather"
    assert sync(ann, office.team).facts_taken == 0
    taken = sync(bob, office.team)
    assert taken.facts_taken == 1


def test_facts_alone_then_the_bytes(office: Office, ann: Workspace, bob: Workspace) -> None:
    made = add(ann, "flights", BIG)
    sync(ann, office.team)
    report = sync(bob, office.team, facts_only=True)
    assert (report.facts_taken, report.bytes_taken) == (1, 0)
    there = find(bob.store, "flights@1")
    with pytest.raises(NotFound) as raised:
        content_of(bob, there)
    assert "charkh sync" in raised.value.hint
    assert only_here(bob) == frozenset()
    assert sync(bob, office.team).bytes_taken > 0
    assert content_of(bob, there) == content_of(ann, made)


def test_only_what_is_named_is_brought(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    add(ann, "weather", b"w" * 3000)
    sync(ann, office.team)
    sync(bob, office.team, only=["weather@1"])
    assert content_of(bob, find(bob.store, "weather@1")) == {"a.bin": b"w" * 3000}
    with pytest.raises(NotFound):
        content_of(bob, find(bob.store, "flights@1"))
    with pytest.raises(NotFound):
        sync(bob, office.team, only=["nothing@1"])
    root = find(bob.store, "flights@1").made.tree.root
    add_remote(bob, "team", office.team)
    assert fetch(bob, [root]) == ()
    assert lacking(bob) == set()


def test_fetch_says_what_nobody_has(office: Office, ann: Workspace) -> None:
    add_remote(ann, "team", office.team)
    assert fetch(ann, ["ab" * 32], "team") == ("ab" * 32,)


def test_what_is_missing_at_a_remote(office: Office, ann: Workspace, bob: Workspace) -> None:
    first = add(ann, "flights", BIG).made.tree.root
    sync(ann, office.team)
    second = add(ann, "flights", BIG + b"more").made.tree.root
    assert missing_at(ann, office.team, [first, second, "cd" * 32]) == tuple(sorted([second, "cd" * 32]))
    # Whoever asks need not have the bytes.
    assert missing_at(bob, office.team, [first, second]) == (second,)
    for path in (office.folder / "team" / "pack").iterdir():
        path.unlink()
    assert missing_at(bob, office.team, [first]) == (first,)


def test_status_names_what_is_only_here(office: Office, ann: Workspace) -> None:
    add(ann, "flights", BIG)
    assert [each.title for each in sync_status(ann).only_here] == ["flights@1"]
    sync(ann, office.team)
    assert sync_status(ann).only_here == ()
    add(ann, "flights", BIG + b"more")
    assert [(each.noun, each.title) for each in sync_status(ann).only_here] == [("dataset", "flights@2")]
    # What is remembered is rebuilt when it is lost.
    sync(ann, office.team)
    name = remotes.which_remote(ann, office.team)[0]
    forget_remote(ann, name)
    assert len(only_here(ann)) > 0
    assert moved(sync(ann, office.team)) == (0, 0, 0, 0)
    assert only_here(ann) == frozenset()


def test_what_was_erased_never_comes_back(office: Office, ann: Workspace, bob: Workspace) -> None:
    secret = b"the secret of the house" * 400
    made = add(ann, "flights", secret)
    sync(ann, office.team)
    sync(bob, office.team)
    (entry,) = list(bob.store.vault.entries(made.made.tree.root))
    erase(bob.store, entry.file, reason="asked to")
    report = sync(bob, office.team)
    assert report.erased == 1
    erased = [bytes.fromhex(old) for old, _new in bob.store.queries.ask(Erasures())]
    assert PackVault(FolderBlobs(office.folder / "team")).shelf.locate(erased) == {}
    sync(ann, office.team)
    assert content_of(ann, made) == {"a.bin": b""}
    assert PackVault(FolderBlobs(office.folder / "team")).shelf.locate(erased) == {}
    assert moved(sync(ann, office.team)) == moved(sync(bob, office.team)) == (0, 0, 0, 0)


def test_who_has_not_heard_of_an_erasure_does_not_send_it_back(office: Office, ann: Workspace, bob: Workspace) -> None:
    secret = b"the secret of the house" * 400
    add(ann, "flights", secret)
    add(bob, "rows", secret)
    sync(bob, office.team)
    (entry,) = list(bob.store.vault.entries(find(bob.store, "rows@1").made.tree.root))
    erase(bob.store, entry.file, reason="asked to")
    sync(bob, office.team)
    report = sync(ann, office.team, pull=False)
    assert report.complete
    erased = [bytes.fromhex(old) for old, _new in bob.store.queries.ask(Erasures())]
    assert PackVault(FolderBlobs(office.folder / "team")).shelf.locate(erased) == {}
    sync(bob, office.team)
    assert content_of(bob, find(bob.store, "flights@1")) == {"a.bin": b""}


def test_a_flipped_bit_in_the_remote_is_named_and_not_taken(office: Office, ann: Workspace, bob: Workspace) -> None:
    made = add(ann, "flights", BIG)
    sync(ann, office.team)
    damage(office.folder / "team")
    report = sync(bob, office.team)
    assert not report.complete
    assert any("damaged" in line for line in report.problems)
    with pytest.raises(NotFound):
        content_of(bob, find(bob.store, "flights@1"))
    mended = sync(ann, office.team, verify=True)
    assert mended.repaired == 1
    assert mended.bytes_sent > 0
    assert sync(bob, office.team).complete
    assert content_of(bob, find(bob.store, "flights@1")) == content_of(ann, made)


def test_a_pack_that_somebody_deleted_is_sent_again(office: Office, ann: Workspace, bob: Workspace) -> None:
    made = add(ann, "flights", BIG)
    sync(ann, office.team)
    for path in (office.folder / "team" / "pack").iterdir():
        path.unlink()
    report = sync(ann, office.team)
    assert report.bytes_sent > 0
    sync(bob, office.team)
    assert content_of(bob, find(bob.store, "flights@1")) == content_of(ann, made)


def test_damaged_facts_are_named_and_sent_again(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    sync(ann, office.team)
    (path,) = list((office.folder / "team" / FACTS).iterdir())
    path.write_bytes(path.read_bytes()[:-2] + b"!!")
    report = sync(bob, office.team)
    assert report.facts_taken == 0
    assert len(report.problems) == 1
    assert sync(ann, office.team, verify=True).facts_sent == 1
    assert sync(bob, office.team).facts_taken == 1


def test_what_neither_has_is_reported(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    sync(ann, office.team)
    sync(bob, office.team, facts_only=True)
    other = str(office.folder / "other")
    report = sync(bob, other)
    assert len(report.missing) == 1
    assert not report.complete
    assert sync(ann, other).complete
    assert sync(bob, other).complete
    assert lacking(bob) == set()


class Failing:
    """A medium of which every n-th call fails."""

    def __init__(self, blobs: Blobs, every: int) -> None:
        self._blobs = blobs
        self._every = every
        self.calls = 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls % self._every == 0:
            raise Unavailable("the line is dead", code="blobs.unavailable")

    def has(self, key: str) -> bool:
        self._count()
        return self._blobs.has(key)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self._count()
        return self._blobs.get(key, start, length)

    def put(self, key: str, parts: Any) -> None:
        self._count()
        self._blobs.put(key, parts)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        self._count()
        return self._blobs.list(prefix)

    def delete(self, key: str) -> None:
        self._count()
        self._blobs.delete(key)


@pytest.mark.parametrize("every", [11, 17, 40])
def test_a_remote_that_fails_again_and_again(
    office: Office, ann: Workspace, bob: Workspace, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = MemoryBlobs()
    failing = Failing(medium, every)

    def opened(_workspace: Workspace, name: str, *, create: bool) -> Remote:
        assert create
        return Remote(name, "failing", failing, BlobsExchange(failing))

    monkeypatch.setattr(syncing, "open_remote", opened)
    for number in range(3):
        add(ann, "flights", BIG + bytes([number]) * 70_000)
        add(bob, "weather", bytes([number]) * 5000)
    for workspace in (ann, bob, ann):
        for _ in range(60):
            with contextlib.suppress(Unavailable):
                if sync(workspace, "failing").complete:
                    break
        else:
            raise AssertionError("it never came to its end")
    for workspace in (ann, bob):
        assert len(workspace.store.queries.ask(DatasetVersions(name="flights"))) == 3
        assert len(workspace.store.queries.ask(DatasetVersions(name="weather"))) == 3
        assert lacking(workspace) == set()


@pytest.fixture(params=["folder", "bundle", "encrypted folder", "encrypted bundle", "bucket", "encrypted bucket"])
def medium(request: pytest.FixtureRequest, office: Office) -> tuple[str, str]:
    """Address and key of a remote."""
    kind = str(request.param)
    key = ""
    if kind.startswith("encrypted"):
        key = str(office.folder / "team.key")
        new_remote_key(Path(key))
    if kind.endswith("bucket"):
        if not COMPONENTS["moto"]():
            pytest.skip("moto is not installed; run scripts/install-test-components moto")
        return request.getfixturevalue("s3_url"), key
    return (office.team + ".bundle" if kind.endswith("bundle") else office.team), key


def test_every_medium(medium: tuple[str, str], ann: Workspace, bob: Workspace) -> None:
    address, key = medium
    for workspace in (ann, bob):
        add_remote(workspace, "team", address, key=key)
    made = add(ann, "flights", BIG)
    add(bob, "weather", BIG[:5000])
    for workspace in (ann, bob, ann):
        report = sync(workspace, verify=True)
        assert report.complete
        assert report.repaired == 0
    assert [moved(sync(each)) for each in (ann, bob)] == [(0, 0, 0, 0)] * 2
    assert content_of(bob, find(bob.store, "flights@1")) == content_of(ann, made)
    (entry,) = list(ann.store.vault.entries(made.made.tree.root))
    erase(ann.store, entry.file, reason="asked to")
    assert sync(ann).erased == 1
    assert sync(bob).complete
    assert content_of(bob, find(bob.store, "flights@1")) == {"a.bin": b""}
    assert look_at(bob).facts == 3


def test_a_tampered_encrypted_remote_is_named_and_mended(office: Office, ann: Workspace, bob: Workspace) -> None:
    key = office.folder / "team.key"
    new_remote_key(key)
    for workspace in (ann, bob):
        add_remote(workspace, "team", office.team, key=str(key))
    made = add(ann, "flights", BIG)
    sync(ann)
    largest = max(
        (each for each in Path(office.team).rglob("*") if each.is_file()), key=lambda each: each.stat().st_size
    )
    data = bytearray(largest.read_bytes())
    data[1000] ^= 1
    largest.write_bytes(bytes(data))
    report = sync(bob)
    assert any("changed, cut" in line for line in report.problems)
    assert sync(ann, verify=True).repaired == 1
    assert sync(bob).complete
    assert content_of(bob, find(bob.store, "flights@1")) == content_of(ann, made)


def test_an_encrypted_remote_needs_its_own_key(office: Office, ann: Workspace, bob: Workspace) -> None:
    for name in ("team", "other"):
        new_remote_key(office.folder / f"{name}.key")
    add_remote(ann, "team", office.team, key=str(office.folder / "team.key"))
    with pytest.raises(Denied) as raised:
        add_remote(bob, "team", office.team, key=str(office.folder / "other.key"))
    assert raised.value.code == "remote.wrong_key"
    with pytest.raises(Invalid) as refused:
        add_remote(bob, "team", office.team)
    assert refused.value.code == "remote.needs_key"
    plain = str(office.folder / "plain")
    add_remote(bob, "plain", plain)
    with pytest.raises(Invalid):
        add_remote(ann, "plain", plain, key=str(office.folder / "team.key"))


def test_which_remote_is_meant(office: Office, ann: Workspace) -> None:
    with pytest.raises(NotFound) as none:
        open_remote(ann)
    assert none.value.code == "remote.none_configured"
    add_remote(ann, "team", office.team)
    assert open_remote(ann).name == "team"
    assert open_remote(ann, office.team).name == "team", "an address of a remote means that remote"
    add_remote(ann, "stick", office.team + ".bundle")
    with pytest.raises(Conflict):
        open_remote(ann)
    add_remote(ann, "usual", str(office.folder / "usual"), default=True)
    assert open_remote(ann).name == "usual"
    with pytest.raises(NotFound) as near:
        open_remote(ann, "tea")
    assert "team" in near.value.hint
    with pytest.raises(Conflict):
        add_remote(ann, "team", office.team)
    settings = (ann.folder / "charkh.toml").read_text()
    assert settings.count("[remote.") == 3
    with office.open("ann") as again:
        assert sorted(again.settings.remote) == ["stick", "team", "usual"]


@pytest.mark.parametrize(
    "address", ["s3://key:secret@bucket/team", "https://host/x?X-Amz-Signature=ab", "nonsense://host/team"]
)
def test_addresses_that_are_refused(ann: Workspace, address: str) -> None:
    with pytest.raises(Invalid) as raised:
        add_remote(ann, "team", address)
    assert "secret" not in raised.value.message
    assert not (ann.folder / "charkh.toml").exists() or "remote" not in (ann.folder / "charkh.toml").read_text()


def test_a_remote_that_is_gone_is_not_made_anew(office: Office, ann: Workspace) -> None:
    add(ann, "flights", BIG)
    add_remote(ann, "team", office.team)
    sync(ann)
    Path(office.team).rename(office.folder / "elsewhere")
    with pytest.raises(Unavailable) as raised:
        sync(ann)
    assert raised.value.code == "remote.gone"
    # An empty folder where the stick should be mounted.
    Path(office.team).mkdir()
    with pytest.raises(Unavailable):
        sync(ann)
    forget_remote(ann, "team")
    assert sync(ann).bytes_sent > 0


def test_another_remote_in_the_same_place_gets_everything(office: Office, ann: Workspace, bob: Workspace) -> None:
    add(ann, "flights", BIG)
    sync(ann, office.team)
    Path(office.team).rename(office.folder / "first stick")
    sync(bob, office.team)
    report = sync(ann, office.team)
    assert report.facts_sent == 1
    assert report.bytes_sent > 0


def test_a_shared_folder_is_shared(office: Office, ann: Workspace) -> None:
    team = Path(office.team)
    team.mkdir()
    team.chmod(0o2770)
    add(ann, "flights", BIG)
    sync(ann, office.team)
    for path in team.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o770 if path.is_dir() else 0o660), path


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "append", "delete", "erase", "run", "model", "alias", "sync", "sync", "direct"]),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    max_size=14,
)


def play(workspaces: Sequence[Workspace], team: str, verb: str, who: int, number: int) -> None:
    workspace = workspaces[who]
    name = "ab"[number % 2]
    if verb in {"add", "append"}:
        content = bytes([number]) * (number * 40_000 + 9)
        # Nothing is appended to a version that was made twice, and what was erased is not added again.
        with contextlib.suppress(Conflict, Denied):
            add(workspace, name, content, file=f"{number}.bin", append=verb == "append")
    elif verb == "run":
        with start(workspace.store, name=name) as run:
            run.log({"auc": number / 10}, step=number)
            run.add_artifact("note.txt", bytes([number]) * 3000)
    elif verb == "model":
        tree = add(workspace, "files", b"model" + bytes([number]) * 4000).made.tree
        made = VersionMade(
            name=name,
            version="",
            number=0,
            content="",
            tree=tree,
            runtime="sklearn",
            libraries={},
            signature=Signature(inputs=(), outputs=()),
            safety=Safety(level="inert"),
        )
        workspace.store.commands.decide(RegisterModel(made=made, metrics={}))
    elif verb == "sync":
        sync(workspace, team)
    elif verb == "direct":
        sync(workspace, str(workspaces[(who + 1) % 3].folder))
    else:
        with contextlib.suppress(NotFound, Conflict, Invalid):
            if verb == "alias":
                move_alias(workspace.store, name, "champion")
            elif verb == "delete":
                delete(workspace.store, f"{name}@{number + 1}")
            else:
                version = find(workspace.store, f"{name}@{number + 1}")
                entry = next(iter(workspace.store.vault.entries(version.made.tree.root)))
                erase(workspace.store, entry.file, reason="asked to")


def versions(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """By id, the reference and author of every version that a store knows."""
    queries = workspace.store.queries
    found = [each for name in "ab" for each in queries.ask(DatasetVersions(name=name, deleted=True))]
    models = [each for name in "ab" for each in queries.ask(ModelVersions(name=name, deleted=True))]
    return {each.subject: (each.ref, each.actor) for each in (*found, *models)}


@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(steps=STEPS)
def test_whoever_works_apart_ends_with_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, int, int]]
) -> None:
    office = Office(tmp_path_factory.mktemp("office"))
    with contextlib.ExitStack() as opened:
        workspaces = [opened.enter_context(office.open(name)) for name in ("ann", "bob", "cy")]
        made: dict[str, tuple[str, str]] = {}
        for verb, who, number in steps:
            play(workspaces, office.team, verb, who, number)
            made |= versions(workspaces[who])
        reports = [sync(workspaces[who], office.team) for who in (0, 1, 2, 0, 1, 2)]
        assert all(report.complete for report in reports), [report.problems or report.missing for report in reports]
        assert [moved(sync(each, office.team)) for each in workspaces] == [(0, 0, 0, 0)] * 3
        tables = [dump_tables(each.catalog, PROJECTIONS) for each in workspaces if each.catalog.catch_up() is None]
        assert tables[0] == tables[1] == tables[2]
        for workspace in workspaces:
            assert versions(workspace) == made, "nothing is lost, and nothing is renumbered"
            assert lacking(workspace) == set()
            assert only_here(workspace) == frozenset()
        erased = [bytes.fromhex(old) for old, _new in workspaces[0].store.queries.ask(Erasures())]
        remote = PackVault(FolderBlobs(office.folder / "team"))
        assert remote.shelf.locate(erased) == {}
        held = workspaces[0].store.queries.ask(HeldDigests())
        found = reach(remote, held, workspaces[0].vault.erased.now())
        assert found.missing | found.unknown == set()
