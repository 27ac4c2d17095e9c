"""A file of a version is read as a file on disk would be, from one thread and from several."""

import io
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.assets.vault import PackVault
from charkh.datasets.open_file import open_file
from charkh.stores.blobs_memory import MemoryBlobs

CONTENT = b"".join(f"{number},{random.Random(number).random()}\n".encode() for number in range(20_000))
VAULT = PackVault(MemoryBlobs(), None, dict)
FILE = VAULT.put_bytes(CONTENT, "a.csv")

STEPS = st.one_of(
    st.integers(-1, 200_000).map(lambda size: lambda file: file.read(size)),
    st.integers(-1, 40).map(lambda size: lambda file: file.readline(size)),
    st.integers(0, len(CONTENT) + 9).map(lambda place: lambda file: file.seek(place)),
    st.integers(0, len(CONTENT)).map(lambda place: lambda file: file.seek(-place, io.SEEK_END)),
    st.just(lambda file: file.tell()),
    st.integers(1, 99).map(lambda size: lambda file: file.readinto(bytearray(size))),
)


@given(st.lists(STEPS, max_size=12))
def test_it_is_a_file(steps: list[Callable[[io.BufferedIOBase], object]]) -> None:
    ours, plain = open_file(VAULT, FILE), io.BytesIO(CONTENT)
    for step in steps:
        assert step(ours) == step(plain)  # type: ignore[arg-type]


def test_lines_and_text() -> None:
    assert list(open_file(VAULT, FILE)) == CONTENT.splitlines(keepends=True)
    assert io.TextIOWrapper(open_file(VAULT, FILE)).read() == CONTENT.decode()
    with pytest.raises(ValueError, match="no byte -1"):
        open_file(VAULT, FILE).seek(-1)


def test_threads_that_share_a_vault_read_what_they_ask_for() -> None:
    def part(place: int) -> bool:
        file = open_file(VAULT, FILE)
        file.seek(place)
        return file.read(5_000) == CONTENT[place : place + 5_000]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(part, range(0, len(CONTENT), 7_919)))
