"""What the moves of an alias come to."""

from hypothesis import given
from hypothesis import strategies as st

from charkh.models.history import heads, heads_at, rollback_target
from charkh.models.model import AliasMove, AliasMoved


def move(at: int, version: str, *replaces: int, rollback: bool = False, clock: int | None = None) -> AliasMove:
    """The move with number `at`, which supersedes the moves with the numbers `replaces`."""
    moved = AliasMoved(
        name="delay",
        alias="champion",
        version=version,
        replaces=tuple(f"{each:04}" for each in replaces),
        rollback=rollback,
    )
    when = at if clock is None else clock
    return AliasMove(
        id=f"{at:04}",
        moved=moved,
        number=0,
        current=True,
        actor="ann@laptop",
        at=float(when),
        stamp=f"{when:08}{at:04}",
    )


def chain(*versions: str) -> list[AliasMove]:
    return [move(at, version, *([at - 1] if at else [])) for at, version in enumerate(versions)]


def test_the_last_of_a_chain_shows() -> None:
    assert [each.moved.version for each in heads(chain("a", "b", "c"))] == ["c"]


def test_a_decision_supersedes_what_it_saw_whatever_the_clock_says() -> None:
    moves = [move(0, "a", clock=900), move(1, "b", 0, clock=5)]
    assert [each.moved.version for each in heads(moves)] == ["b"]


def test_of_two_concurrent_moves_the_later_stamp_shows_and_the_other_is_a_rival() -> None:
    moves = [move(0, "a"), move(1, "b", 0), move(2, "c", 0)]
    assert [each.moved.version for each in heads(moves)] == ["c", "b"]
    settled = [*moves, move(3, "b", 1, 2)]
    assert [each.moved.version for each in heads(settled)] == ["b"]


def test_the_past_is_asked_by_time() -> None:
    moves = chain("a", "b", "c")
    assert [[each.moved.version for each in heads_at(moves, moment)] for moment in (-1, 0, 1.5, 9)] == [
        [],
        ["a"],
        ["b"],
        ["c"],
    ]


def test_rolling_back_goes_back_step_by_step() -> None:
    moves = chain("a", "b", "c")
    assert rollback_target(moves, ()) == "b"
    moves.append(move(3, "b", 2, rollback=True))
    assert rollback_target(moves, ()) == "a"
    moves.append(move(4, "a", 3, rollback=True))
    assert rollback_target(moves, ()) == ""
    moves.append(move(5, "d", 4))
    assert rollback_target(moves, ()) == "a"


def test_moving_back_by_hand_is_a_move_like_any_other() -> None:
    assert rollback_target(chain("a", "b", "a"), ()) == "b"


def test_a_removal_is_undone() -> None:
    assert rollback_target(chain("a", ""), ()) == "a"
    assert rollback_target(chain("a", "", "b"), ()) == "a"


def test_deleted_versions_are_passed_over() -> None:
    assert rollback_target(chain("a", "b", "c"), {"b"}) == "a"
    assert rollback_target(chain("a", "b"), {"a"}) == ""


def test_nothing_was_ever_moved() -> None:
    assert heads([]) == ()
    assert rollback_target([], ()) == ""


@st.composite
def histories(draw: st.DrawFn) -> list[AliasMove]:
    """Moves of several people, each superseding some earlier moves, with clocks that may be wrong."""
    moves: list[AliasMove] = []
    for at in range(draw(st.integers(1, 12))):
        seen = draw(st.sets(st.sampled_from(range(at)))) if at else set[int]()
        version = draw(st.sampled_from(["", "a", "b", "c"]))
        moves.append(move(at, version, *seen, rollback=draw(st.booleans()), clock=draw(st.integers(0, 50))))
    return moves


@given(histories(), st.randoms())
def test_the_order_of_arrival_does_not_matter(moves: list[AliasMove], random: object) -> None:
    shuffled = list(moves)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert heads(shuffled) == heads(moves)
    assert rollback_target(shuffled, ()) == rollback_target(moves, ())
    assert heads_at(shuffled, 25) == heads_at(moves, 25)


@given(histories())
def test_a_decision_that_sees_every_head_leaves_one(moves: list[AliasMove]) -> None:
    current = [int(each.id) for each in heads(moves)]
    assert current
    last = move(len(moves), "z", *current, clock=0)
    assert heads([*moves, last]) == (last,)


@given(histories())
def test_a_rollback_leads_to_another_version_that_held_it(moves: list[AliasMove]) -> None:
    target = rollback_target(moves, ())
    assert target != heads(moves)[0].moved.version or not target
    assert not target or target in {each.moved.version for each in moves}


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8))
def test_rollbacks_end(versions: list[str]) -> None:
    moves = chain(*versions)
    for _ in range(len(versions)):
        target = rollback_target(moves, ())
        if not target:
            return
        moves.append(move(len(moves), target, len(moves) - 1, rollback=True))
    raise AssertionError("a rollback came back to where it was")
