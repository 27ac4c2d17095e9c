"""Another seed for a training: in its arguments, and in the generators that libraries share."""

import contextlib
import random
import sys
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from charkh.core.errors import Invalid
from charkh.core.params import Params, fields_of, with_values

USUAL = frozenset({"seed", "random_state"})
"""What a seed is called where nobody says what it is called."""


class Reseeded(NamedTuple):
    """Arguments with another seed, and what holds it, such as `p.seed`; nothing where they hold none."""

    arguments: dict[str, Any]
    names: tuple[str, ...]


def reseed(arguments: Mapping[str, Any], seed: int, name: str = "") -> Reseeded:
    """Put another seed into every whole number that is called so, of the arguments and of params among them.

    Args:
        arguments: by name.
        seed: the other one.
        name: what it is called, in full or its last part; without it, `seed` or `random_state`.

    Raises:
        Invalid: a name is given, and nothing is called so.
    """
    found = dict(arguments)
    names: list[str] = []
    for argument, value in arguments.items():
        if isinstance(value, Params):
            paths = [path for path in _seeds_of(value, "") if _is_called(f"{argument}.{path}", name)]
            found[argument] = with_values(value, dict.fromkeys(paths, seed))
            names += [f"{argument}.{path}" for path in paths]
        elif _is_seed(value) and _is_called(argument, name):
            found[argument] = seed
            names.append(argument)
    if name and not names:
        raise Invalid(
            f"the training takes no whole number named {name!r}",
            code="stability.no_seed",
            hint="Name a param or an argument of the step that trains, such as train.seed.",
        )
    return Reseeded(found, tuple(names))


@contextlib.contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seed the generators that a process shares (Python's, NumPy's, and PyTorch's where it is loaded), for a while."""
    python, numpy = random.getstate(), np.random.get_state()
    torch: Any = sys.modules.get("torch")
    before = torch.get_rng_state() if torch is not None else None
    random.seed(seed)
    np.random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch is not None:
            torch.set_rng_state(before)


def _seeds_of(params: Params, prefix: str) -> Iterator[str]:
    """Dotted names of the whole numbers, and of what may be one and is None."""
    for name in fields_of(params):
        value = getattr(params, name)
        if isinstance(value, Params):
            yield from _seeds_of(value, f"{prefix}{name}.")
        elif _is_seed(value):
            yield prefix + name


def _is_seed(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _is_called(path: str, name: str) -> bool:
    if not name:
        return path.rpartition(".")[2] in USUAL
    return f".{path}".endswith(f".{name}")
