"""Blobs behind SSH: the suite on a real OpenSSH server, a connection that is cut, hosts and keys that are wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.core.errors import Denied, Invalid, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import Blobs
from charkh.stores.blobs_ssh import SshBlobs, parse_ssh_address
from charkh.testing.blobs import BlobsSuite
from servers import SshServer

pytestmark = pytest.mark.needs("openssh-server")


def blobs_at(server: SshServer, folder: Path) -> SshBlobs:
    return SshBlobs(parse_ssh_address(f"ssh://charkh-test{folder}"), config=[str(server.config)])


class TestSshBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, ssh_server: SshServer) -> Iterator[Blobs]:
        yield blobs_at(ssh_server, ssh_server.folder / new_id())

    def test_a_connection_that_is_cut_is_made_again(self, ssh_server: SshServer) -> None:
        blobs = blobs_at(ssh_server, ssh_server.folder / new_id())
        blobs.put("pack/one", [b"abc"])
        ssh_server.restart()
        assert blobs.get("pack/one") == b"abc"
        blobs.put("pack/two", [b"def"])
        assert sorted(info.key for info in blobs.list("pack/")) == ["pack/one", "pack/two"]

    def test_nothing_half_written_is_shown(self, ssh_server: SshServer) -> None:
        folder = ssh_server.folder / new_id()
        blobs = blobs_at(ssh_server, folder)
        blobs.put("pack/one", [b"x" * 1_000_000])
        assert list((folder / ".writing").iterdir()) == []
        (folder / ".writing" / "left-by-somebody").write_bytes(b"half")
        assert [info.key for info in blobs.list()] == ["pack/one"]

    def test_a_folder_that_cannot_be_made(self, ssh_server: SshServer) -> None:
        with pytest.raises((Unavailable, Denied)) as raised:
            blobs_at(ssh_server, Path("/proc/no/such")).put("a", [b"x"])
        assert "charkh-test" in raised.value.message
        assert raised.value.hint


def test_a_host_whose_key_is_not_known_is_not_talked_to(ssh_server: SshServer, tmp_path: Path) -> None:
    config = tmp_path / "config"
    (tmp_path / "no").write_text("")
    config.write_text(
        ssh_server.config.read_text().replace("UserKnownHostsFile", f"UserKnownHostsFile {tmp_path}/no\n#")
    )
    with pytest.raises(Denied) as raised:
        SshBlobs(parse_ssh_address("ssh://charkh-test/tmp/x"), config=[str(config)]).has("a")
    assert "ssh charkh-test" in raised.value.hint


def test_a_host_that_does_not_answer() -> None:
    with pytest.raises(Unavailable):
        SshBlobs(parse_ssh_address("ssh://127.0.0.1:9/tmp/x"), known_hosts=None).has("a")


@pytest.mark.parametrize(
    "address", ["ssh://", "ssh://host", "ssh://host/", "ssh:///x", "ssh://u:secret@host/x", "http://host/x"]
)
def test_an_address_that_names_no_folder(address: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_ssh_address(address)
    assert raised.value.code == "remote.bad_address"


@pytest.mark.parametrize(
    ("address", "folder"),
    [("ssh://host/srv/data", "/srv/data"), ("ssh://host/~/data", "data"), ("ssh://ann@host:22//srv/../x", "/x")],
)
def test_the_folder_of_an_address(address: str, folder: str) -> None:
    assert parse_ssh_address(address).folder == folder


def test_absent_is_not_found(ssh_server: SshServer) -> None:
    with pytest.raises(NotFound):
        blobs_at(ssh_server, ssh_server.folder / new_id()).get("pack/none")
