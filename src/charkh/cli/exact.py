"""What cannot be undone is done to a version that was named, never to whichever is the newest."""

from charkh.core.errors import Invalid
from charkh.core.ids import ID_PATTERN


def require_version(given: str, meant: str, noun: str) -> None:
    """Refuse a bare name.

    Args:
        given: what was typed.
        meant: the reference of the version that it means now.
        noun: of the command, such as `dataset`.

    Raises:
        Invalid: `given` is a name without a selector.
    """
    if "@" in given or ":" in given or ID_PATTERN.fullmatch(given):
        return
    raise Invalid(
        f"{given!r} names no version, and the newest is not deleted by accident",
        code=f"{noun}.which_version",
        hint=f"Write: charkh {noun} delete {meant}",
    )
