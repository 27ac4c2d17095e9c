"""What the demo calls its model, and whom it tells what is under way."""

from collections.abc import Callable

MODEL = ENDPOINT = MONITOR = LOOP = "delay"
Say = Callable[[str], None]
"""Told what is under way, one line at a time."""
