"""`charkh sync` with a charkh server and with a folder behind SSH, as two colleagues use them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

from charkh.assets.shelf import place_of
from charkh.core.ids import new_id
from charkh.workspace.workspace import open_workspace
from functional.test_server import Server
from servers import SshServer


@pytest.fixture
def colleague(tmp_path_factory: pytest.TempPathFactory) -> Charkh:
    command = Charkh(tmp_path_factory.mktemp("bob"))
    command("init")
    return command


@pytest.fixture
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A charkh server over a workspace of its own."""
    folder = tmp_path_factory.mktemp("team")
    Charkh(folder)("init")
    server = Server(folder, "up", "--every", "0s")
    yield server
    server.stop()


def test_two_colleagues_through_a_server(charkh: Charkh, colleague: Charkh, team: Server) -> None:
    address = f"http://127.0.0.1:{team.port}"
    known = {"CHARKH_URL": address, "CHARKH_TOKEN": team.token}
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "hour,late\n1,0\n2,1\n"))
    told = charkh("sync", **known)
    assert "server" in told
    colleague("sync", **known)
    assert colleague.json("dataset", "show", "flights@1", "--head", "2")["rows"] == [
        {"hour": "1", "late": "0"},
        {"hour": "2", "late": "1"},
    ]
    colleague("dataset", "add", "flights", colleague.write("feb.csv", "hour,late\n3,0\n"), "--append")
    colleague("sync", **known)
    charkh("sync", **known)
    assert charkh.json("dataset", "show", "flights@2")["version"]["made"]["rows"] == 3
    assert team.ask("/api/datasets/version?ref=flights@2")[1]["made"]["rows"] == 3
    charkh("fsck", "--everything")


def test_a_server_wants_its_token(charkh: Charkh, team: Server) -> None:
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "hour,late\n1,0\n"))
    address = f"http://127.0.0.1:{team.port}"
    result = charkh.run("sync", address)
    assert result.returncode != 0
    assert "CHARKH_TOKEN" in result.stderr
    result = charkh.run("sync", address, CHARKH_TOKEN="wrong")
    assert result.returncode != 0
    assert "token is missing or wrong" in result.stderr
    charkh.write("token", team.token)
    charkh.write("charkh.toml", f'[remote.team]\nurl = "{address}"\ntoken = "token"\n')
    assert "team" in charkh("sync")


@pytest.mark.needs("openssh-server")
def test_two_colleagues_through_a_folder_behind_ssh(
    charkh: Charkh, colleague: Charkh, ssh_server: SshServer, private_home: Path
) -> None:
    (private_home / ".ssh").mkdir(exist_ok=True)
    (private_home / ".ssh" / "config").write_text(ssh_server.config.read_text())
    address = f"ssh://charkh-test{ssh_server.folder}/{new_id()}"
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "hour,late\n1,0\n2,1\n"))
    charkh("sync", address)
    colleague("sync", address)
    assert colleague.json("dataset", "show", "flights@1")["version"]["made"]["rows"] == 2
    ssh_server.restart()
    assert "0 facts" in charkh("sync", address) or "nothing" in charkh("sync", address)


def test_what_is_forgotten_leaves_the_server_and_the_colleague(charkh: Charkh, colleague: Charkh, team: Server) -> None:
    known = {"CHARKH_URL": f"http://127.0.0.1:{team.port}", "CHARKH_TOKEN": team.token}
    rows = "".join(f"{number},person{number}@example.org\n" for number in range(400))
    charkh("dataset", "add", "people", charkh.write("people.csv", f"id,mail\n{rows}"))
    charkh("sync", **known)
    colleague("sync", **known)
    assert "person7@example.org" in colleague("dataset", "rows", "people", "--where", "id == 7")
    charkh("dataset", "forget", "--column", "mail", "--value", "person7@example.org", "--all", "--yes")
    charkh("sync", **known)
    colleague("sync", **known)
    for folder in (charkh.folder, team.folder, colleague.folder):
        other = Charkh(folder)
        assert "person7@example.org" not in other("dataset", "rows", "people", "--where", "id >= 0", "--limit", "1000")
        assert b"person7@example.org" not in packed(folder)
    charkh("sync", "--verify", **known)


def packed(folder: Path) -> bytes:
    """Every record of every pack of a workspace, decompressed."""
    with open_workspace(folder) as workspace:
        shelf = workspace.vault.shelf
        shelf.refresh()
        found: list[bytes] = []
        for name in shelf.list_packs():
            wanted = [(entry.digest, place_of(name, entry)) for entry in shelf.footer(name)]
            found.extend(shelf.read_run(wanted))
        return b"\n".join(found)
