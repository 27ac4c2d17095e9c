"""The suite that every exchange passes: inherit `ExchangeSuite` and say how a journal and its exchange are made."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Conflict, Invalid
from charkh.core.ids import new_id
from charkh.ports.exchange import Exchange, Part, pull
from charkh.ports.journal import Journal
from charkh.testing.journals import read_all


class ExchangeSuite(ABC):
    """What `charkh.ports.exchange.Exchange` promises.

    Attributes:
        examples: how many random stories are played.
    """

    examples = 15

    @abstractmethod
    def make(self) -> tuple[Journal, Exchange]:
        """A journal on an empty medium of its own, and its exchange."""

    @abstractmethod
    def leave(self, journal: Journal) -> None:
        """Let another process take over: what the journal's process wrote is left as at its end."""

    def test_facts_are_pulled_once(self) -> None:
        (ann, from_ann), (bob, to_bob) = self.make(), self.make()
        ann.append([b"one", b"two"])
        assert pull(from_ann, to_bob) == 2
        assert pull(from_ann, to_bob) == 0
        assert read_all(bob)[0] == [b"one", b"two"]
        assert to_bob.known() == from_ann.known()

    def test_a_segment_that_grows_is_pulled_on(self) -> None:
        (ann, from_ann), (bob, to_bob) = self.make(), self.make()
        for number in range(3):
            ann.append([b"%d" % number])
            assert pull(from_ann, to_bob) == 1
        self.leave(ann)
        assert pull(from_ann, to_bob) == 0
        payloads, cursor = read_all(bob)
        assert payloads == [b"0", b"1", b"2"]
        ann.append([b"3"])
        assert pull(from_ann, to_bob) == 1
        assert read_all(bob, cursor)[0] == [b"3"]

    def test_what_comes_back_is_known(self) -> None:
        (ann, from_ann), (bob, from_bob) = self.make(), self.make()
        ann.append([b"one"])
        bob.append([b"two"])
        assert pull(from_ann, from_bob) == 1
        assert pull(from_bob, from_ann) == 1
        assert sorted(read_all(ann)[0]) == sorted(read_all(bob)[0]) == [b"one", b"two"]

    def test_a_gap_is_refused_whole(self) -> None:
        journal, exchange = self.make()
        segment, other = new_id(), new_id()
        with pytest.raises(Conflict) as raised:
            exchange.take([Part(other, 0, [b"fine"]), Part(segment, 1, [b"second"])])
        assert raised.value.code == "journal.gap"
        assert read_all(journal)[0] == []

    @pytest.mark.parametrize("payload", [b"", b"charkh segment 1\n\x80"])
    def test_what_is_no_fact_is_refused_whole(self, payload: bytes) -> None:
        journal, exchange = self.make()
        with pytest.raises(Invalid) as raised:
            exchange.take([Part(new_id(), 0, [b"fine"]), Part(new_id(), 0, [b"fine", payload])])
        assert raised.value.code == "journal.no_fact"
        assert read_all(journal)[0] == []

    def test_overlapping_parts_are_taken_once(self) -> None:
        journal, exchange = self.make()
        segment = new_id()
        assert exchange.take([Part(segment, 0, [b"0", b"1"])]) == 2
        assert exchange.take([Part(segment, 1, [b"1", b"2"]), Part(segment, 0, [b"0"]), Part(segment, 3, [b"3"])]) == 2
        assert read_all(journal)[0] == [b"0", b"1", b"2", b"3"]
        assert exchange.known() == {segment: 4}
        assert [payload for part in exchange.parts({segment: 2}) for payload in part.payloads] == [b"2", b"3"]

    def test_colleagues_end_with_the_same_set(self) -> None:
        @settings(max_examples=self.examples)
        @given(steps=st.lists(st.tuples(st.sampled_from(["append", "leave", "pull"]), st.integers(0, 2)), max_size=20))
        def play(steps: Sequence[tuple[str, int]]) -> None:
            stores = [self.make() for _ in range(3)]
            written: list[bytes] = []
            for verb, who in steps:
                if verb == "append":
                    written.append(b"%d" % len(written))
                    stores[who][0].append([written[-1]])
                elif verb == "leave":
                    self.leave(stores[who][0])
                else:
                    pull(stores[who][1], stores[(who + 1) % 3][1])
            for who in (0, 1, 2, 0, 1):
                pull(stores[who][1], stores[(who + 1) % 3][1])
            for journal, exchange in stores:
                assert sorted(read_all(journal)[0]) == sorted(written)
                assert exchange.known() == stores[0][1].known()
                journal.close()

        play()
