"""Room for connections follows the limit of descriptors, which is raised as far as it may be."""

import resource

import pytest

from charkh.endpoints.connections import APART, MOST, authority, cannot_listen, room_for_connections
from charkh.testing.children import in_child


@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (1024, 16384, MOST, MOST + APART),
        (1024, 1024, 1024 - APART, 1024),
        (256, 256, 128, 256),
        (16384, 16384, MOST, 16384),
    ],
)
def test_room_for_connections(soft: int, hard: int, room: int, raised: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < hard:
        pytest.skip(f"this machine lets nobody have {hard} descriptors")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert room_for_connections() == room
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (raised, hard)

    in_child(work)


@pytest.mark.parametrize(
    ("host", "named"), [("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080"), ("here.example", "here.example:8080")]
)
def test_an_address_of_ipv6_is_named_in_brackets(host: str, named: str) -> None:
    assert authority(host, 8080) == named
    assert named in cannot_listen(host, 8080, OSError("taken")).message
