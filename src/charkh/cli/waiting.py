"""What commands say while they wait for somebody else's lock."""

import sys
from typing import Annotated

import typer

Timeout = Annotated[
    float, typer.Option("--timeout", min=0, help="Seconds to wait for another process that has the lock; 0 for none.")
]


def say_who(owner: str) -> None:
    """Tell the person at the terminal who has the lock."""
    if sys.stderr.isatty():
        sys.stderr.write(f"waiting for {owner}\n")
