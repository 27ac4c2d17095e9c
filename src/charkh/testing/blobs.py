"""What every blob store must do: subclass `BlobsSuite` and give it a `blobs` fixture."""

import threading
import time
from collections.abc import Iterator

import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.ports.blobs import Blobs

BAD_KEYS = ("", "/", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "a b", "a\\b", "a\0", "ä", "a:b", "x" * 600)


class BlobsSuite:
    """The conformance suite of `charkh.ports.blobs.Blobs`.

    A subclass has a fixture `blobs` that gives an empty store.
    """

    def test_what_was_put_is_there(self, blobs: Blobs) -> None:
        blobs.put("pack/one", [b"ab", b"", memoryview(b"cd")])
        assert blobs.has("pack/one")
        assert blobs.get("pack/one") == b"abcd"
        assert type(blobs.get("pack/one")) is bytes

    def test_an_absent_key_is_not_found(self, blobs: Blobs) -> None:
        assert not blobs.has("pack/none")
        with pytest.raises(NotFound) as raised:
            blobs.get("pack/none")
        assert raised.value.code == "blobs.not_found"
        with pytest.raises(NotFound):
            blobs.get("pack/none", -4)
        with pytest.raises(NotFound):
            blobs.get("pack/none", 2, 2)

    def test_a_prefix_is_no_object(self, blobs: Blobs) -> None:
        blobs.put("a/b/c", [b"1"])
        assert not blobs.has("a/b")
        assert not blobs.has("a/b/c/d")
        with pytest.raises(NotFound):
            blobs.get("a/b")

    def test_ranges(self, blobs: Blobs) -> None:
        blobs.put("ten", [b"0123456789"])
        assert blobs.get("ten", 3) == b"3456789"
        assert blobs.get("ten", 3, 4) == b"3456"
        assert blobs.get("ten", 0, 1) == b"0"
        assert blobs.get("ten", 8, 10) == b"89"
        assert blobs.get("ten", -3) == b"789"
        assert blobs.get("ten", -3, 2) == b"78"
        assert blobs.get("ten", -30) == b"0123456789"
        assert blobs.get("ten", 3, 0) == b""
        assert blobs.get("ten", 10) == b""
        assert blobs.get("ten", 20, 5) == b""

    def test_an_empty_object(self, blobs: Blobs) -> None:
        blobs.put("empty", [])
        assert blobs.has("empty")
        assert blobs.get("empty") == b""
        assert [info.size for info in blobs.list()] == [0]

    def test_objects_never_change(self, blobs: Blobs) -> None:
        blobs.put("key", [b"first"])
        blobs.put("key", [b"second"])
        assert blobs.get("key") == b"first"

    def test_one_of_many_writers_of_a_key_wins(self, blobs: Blobs) -> None:
        contents = [bytes([65 + number]) * 50_000 for number in range(6)]
        threads = [threading.Thread(target=blobs.put, args=("race", [content])) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winner = blobs.get("race")
        assert winner in contents
        blobs.put("race", [b"late"])
        assert blobs.get("race") == winner

    def test_list(self, blobs: Blobs) -> None:
        before = time.time()
        for key in ("pack/ab", "pack/ac", "pack/b/x", "packs", "trash/ab"):
            blobs.put(key, [key.encode()])
        assert {info.key for info in blobs.list()} == {"pack/ab", "pack/ac", "pack/b/x", "packs", "trash/ab"}
        assert {info.key for info in blobs.list("pack/")} == {"pack/ab", "pack/ac", "pack/b/x"}
        assert {info.key for info in blobs.list("pack/a")} == {"pack/ab", "pack/ac"}
        assert {info.key for info in blobs.list("pack")} == {"pack/ab", "pack/ac", "pack/b/x", "packs"}
        assert list(blobs.list("nothing/")) == []
        for info in blobs.list():
            assert info.size == len(info.key)
            assert abs(info.modified - before) < 60

    def test_delete(self, blobs: Blobs) -> None:
        blobs.put("a/b", [b"1"])
        blobs.put("a/c", [b"2"])
        blobs.delete("a/b")
        blobs.delete("a/b")
        blobs.delete("never/was")
        assert not blobs.has("a/b")
        assert [info.key for info in blobs.list()] == ["a/c"]
        blobs.put("a/b", [b"3"])
        assert blobs.get("a/b") == b"3"

    def test_a_put_that_fails_leaves_nothing(self, blobs: Blobs) -> None:
        def parts() -> Iterator[bytes]:
            yield b"x" * 100_000
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError, match="the source broke"):
            blobs.put("half", parts())
        assert not blobs.has("half")
        assert list(blobs.list()) == []

    def test_megabytes_in_many_parts(self, blobs: Blobs) -> None:
        parts = [bytes([number % 251]) * (number % 7 * 500) for number in range(3000)]
        blobs.put("big", parts)
        whole = b"".join(parts)
        assert blobs.get("big") == whole
        assert blobs.get("big", len(whole) // 2, 100_000) == whole[len(whole) // 2 :][:100_000]

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_is_none_is_refused(self, blobs: Blobs, key: str) -> None:
        for refused in (blobs.has, blobs.get, blobs.delete):
            with pytest.raises(Invalid):
                refused(key)
        with pytest.raises(Invalid):
            blobs.put(key, [b"x"])
