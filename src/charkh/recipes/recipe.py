"""The noun: what a recipe is, and its identity. Pure data, no I/O.

A recipe is a list of steps. Its identity is its content: the digest of its canonical JSON, so that the same steps
have the same id in every store.
"""

from collections.abc import Sequence

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.redact import redact
from charkh.recipes.operations.all import BY_SHAPE, Operation, columns_named

FORMAT = 1
MAX_STEPS = 200
MAX_LINE = 120
MAX_LINES = 100


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ordered cleaning steps.

    Attributes:
        recipe: version of the document's format.
        description: what the recipe is for.
        tables: datasets that `lookup` steps read, by the name they have there: `planes`, `planes@3`, or, once the
            recipe is recorded, `dataset:ID`.
        steps: the operations, in order.
    """

    recipe: int = FORMAT
    description: str = ""
    tables: dict[str, str] = {}
    steps: tuple[Operation, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the canonical JSON: equal recipes have equal digests on every machine."""
        return digest_of(canonical_json(self))

    @property
    def id(self) -> str:
        """The id under which the recipe is recorded: the first 32 digits of its digest."""
        return self.digest[:32]


def step_lines(steps: Sequence[Operation]) -> tuple[str, ...]:
    """One bounded line a step: the operation and the columns that it names."""
    lines = [f"{BY_SHAPE[type(step)].op} {', '.join(columns_named(step))}".strip() for step in steps[:MAX_LINES]]
    return tuple(redact(line)[:MAX_LINE] for line in lines)


def is_live(recipe: Recipe) -> bool:
    """Whether the recipe can prepare live requests: no step of theirs removes or moves rows."""
    return all(step.when == "training" or BY_SHAPE[type(step)].row_wise for step in recipe.steps)
