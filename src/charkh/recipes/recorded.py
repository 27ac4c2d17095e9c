"""The noun as its event and the catalog tell it. What a user typed into the steps is bytes in the vault; the event
names operations and columns only.

Apart from `recipe.py`, because the catalog is asked about recipes by commands that need no table library.
"""

import msgspec

from charkh.core.files import FileRef

RECORDED_KIND = "recipe.recorded/1"


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
