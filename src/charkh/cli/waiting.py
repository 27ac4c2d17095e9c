"""What commands say while they wait for somebody else's lock."""

import sys


def say_who(owner: str) -> None:
    """Tell the person at the terminal who has the lock."""
    if sys.stderr.isatty():
        sys.stderr.write(f"waiting for {owner}\n")
