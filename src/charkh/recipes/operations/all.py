"""Every operation, in one readable list."""

from charkh.recipes.operations import columns, lookup, rows, text, types, values
from charkh.recipes.operations.columns import Drop, Keep, Rename, SplitColumn
from charkh.recipes.operations.lookup import Lookup
from charkh.recipes.operations.operation import Behaviour, Step
from charkh.recipes.operations.rows import Deduplicate, Filter, Sort
from charkh.recipes.operations.text import Case, Replace, Trim
from charkh.recipes.operations.types import Cast, ParseTime
from charkh.recipes.operations.values import Bin, Derive, Fill, MapValues, SetNull

Operation = (
    Rename
    | Drop
    | Keep
    | SplitColumn
    | Cast
    | ParseTime
    | Trim
    | Case
    | Replace
    | SetNull
    | Fill
    | MapValues
    | Bin
    | Derive
    | Lookup
    | Filter
    | Deduplicate
    | Sort
)

BEHAVIOURS: tuple[Behaviour, ...] = (
    *columns.BEHAVIOURS,
    *types.BEHAVIOURS,
    *text.BEHAVIOURS,
    *values.BEHAVIOURS,
    *lookup.BEHAVIOURS,
    *rows.BEHAVIOURS,
)

BY_OP: dict[str, Behaviour] = {behaviour.op: behaviour for behaviour in BEHAVIOURS}
BY_SHAPE: dict[type[Step], Behaviour] = {behaviour.shape: behaviour for behaviour in BEHAVIOURS}


def columns_named(operation: Step) -> tuple[str, ...]:
    """The columns that an operation names first: what a person looks for in a list of steps."""
    for attribute in ("column", "columns"):
        named = getattr(operation, attribute, None)
        if named:
            return (named,) if isinstance(named, str) else tuple(named)
    return ()
