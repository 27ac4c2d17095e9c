"""What the moves of one alias come to: who holds it, who held it when, and where a rollback goes. Pure.

A move supersedes the moves that it names, whatever the clocks say; among those that nothing
supersedes, the greatest stamp shows.
"""

from collections.abc import Collection, Sequence

from charkh.models.model import AliasMove


def heads(moves: Sequence[AliasMove]) -> tuple[AliasMove, ...]:
    """The moves that no other of them supersedes, the one that shows first."""
    replaced = {identifier for move in moves for identifier in move.moved.replaces}
    current = [move for move in moves if move.id not in replaced]
    return tuple(sorted(current, key=lambda move: move.stamp, reverse=True))


def heads_at(moves: Sequence[AliasMove], moment: float) -> tuple[AliasMove, ...]:
    """The moves in force at `moment` (seconds since the epoch)."""
    return heads([move for move in moves if move.at <= moment])


def rollback_target(moves: Sequence[AliasMove], gone: Collection[str]) -> str:
    """The version that a rollback puts back, or empty when there is none.

    Undoing goes on where the last undoing ended: after v1, v2, v3, two rollbacks lead to v1.

    Args:
        moves: every move of the alias.
        gone: ids of versions that cannot hold it any more.
    """
    stack = _holders(moves)
    current = stack[-1] if stack else ""
    return next((held for held in reversed(stack[:-1]) if held and held != current and held not in gone), "")


def _holders(moves: Sequence[AliasMove]) -> list[str]:
    """The holders on the way to the move that shows, with what was rolled back taken off."""
    stack: list[str] = []
    for move in _line(moves):
        held = move.moved.version
        earlier = [place for place, version in enumerate(stack[:-1]) if version == held]
        if move.moved.rollback and earlier:
            del stack[earlier[-1] + 1 :]
        else:
            stack.append(held)
    return stack


def _line(moves: Sequence[AliasMove]) -> list[AliasMove]:
    """From the first move to the one that shows, along what each superseded."""
    known = {move.id: move for move in moves}
    line: list[AliasMove] = []
    seen: set[str] = set()
    move = next(iter(heads(moves)), None)
    while move is not None and move.id not in seen:
        seen.add(move.id)
        line.append(move)
        before = [known[identifier] for identifier in move.moved.replaces if identifier in known]
        move = max(before, key=lambda each: each.stamp, default=None)
    return line[::-1]
