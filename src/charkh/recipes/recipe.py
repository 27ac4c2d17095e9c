"""The noun: what a recipe is, what its event says, and its identity. Pure data, no I/O.

A recipe is a list of steps. Its identity is its content: the digest of its canonical JSON, so that the same steps
have the same id in every store. What a user typed into the steps is bytes in the vault; the event names
operations and columns only.
"""

from collections.abc import Sequence

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.recipes.operations.all import BY_SHAPE, Operation, columns_named

RECORDED_KIND = "recipe.recorded/1"
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


class RecipeRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `recipe.recorded/1`.

    Attributes:
        name: what people call it; several recipes may have had one name, the latest is meant.
        recipe: its id.
        digest: of its canonical JSON.
        document: the canonical JSON in the vault.
        steps: how many.
        lines: the first `MAX_LINES` steps: operation and columns, without the values that were typed.
        tables: ids of the dataset versions that it looks things up in, by table name.
        live: it can prepare live requests.
    """

    name: str
    recipe: str
    digest: str
    document: FileRef
    steps: int
    lines: tuple[str, ...]
    tables: dict[str, str] = {}
    live: bool = True


class RecipeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded recipe as the catalog answers it.

    Attributes:
        recorded: what its event says.
        actor: who recorded it, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent recordings.
    """

    recorded: RecipeRecorded
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.recorded.recipe

    @property
    def subject(self) -> str:
        """`recipe:id`, as it stands in edges."""
        return f"recipe:{self.recorded.recipe}"

    @property
    def name(self) -> str:
        return self.recorded.name


def step_lines(steps: Sequence[Operation]) -> tuple[str, ...]:
    """One bounded line a step: the operation and the columns that it names."""
    lines = [f"{BY_SHAPE[type(step)].op} {', '.join(columns_named(step))}".strip() for step in steps[:MAX_LINES]]
    return tuple(redact(line)[:MAX_LINE] for line in lines)


def is_live(recipe: Recipe) -> bool:
    """Whether the recipe can prepare live requests: no step of theirs removes or moves rows."""
    return all(step.when == "training" or BY_SHAPE[type(step)].row_wise for step in recipe.steps)
