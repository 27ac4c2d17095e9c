"""What differs between the columns of two tables, and how cells of both are made comparable."""

from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.dtypes import dtype_text


class RetypedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of both tables with another type."""

    name: str
    old: str
    new: str


class RenamedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the old table that stands in the new one under another name, with equal cells."""

    old: str
    new: str


class SchemaDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that differ.

    Attributes:
        added: only in the new table.
        removed: only in the old table.
        retyped: in both with another type.
        renamed: in both under another name; they are compared as one column.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[RetypedColumn, ...] = ()
    renamed: tuple[RenamedColumn, ...] = ()


def diff_schemas(
    old: Mapping[str, pl.DataType], new: Mapping[str, pl.DataType], renamed: Mapping[str, str] | None = None
) -> SchemaDiff:
    """The columns that differ.

    Args:
        old: columns of the old table, renamed ones under their new name.
        new: columns of the new table.
        renamed: new names by old ones.
    """
    return SchemaDiff(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        retyped=tuple(
            RetypedColumn(name=name, old=dtype_text(dtype), new=dtype_text(new[name]))
            for name, dtype in old.items()
            if name in new and dtype != new[name]
        ),
        renamed=tuple(RenamedColumn(old=before, new=after) for before, after in (renamed or {}).items()),
    )


def renamed_columns(old: pl.LazyFrame, new: pl.LazyFrame, key: Sequence[str] = ()) -> dict[str, str]:
    """New names by old ones, of columns whose cells are equal in every row that both tables have.

    Rows are told by the key, or by their place where there is none. A column without a value says nothing.
    """
    before, after = old.collect_schema(), new.collect_schema()
    gone = [name for name in before if name not in after]
    come = [name for name in after if name not in before]
    pairs = [(one, other) for one in gone for other in come if before[one] == after[other]]
    if not pairs or any(name not in before or name not in after for name in key):
        return {}
    left, right = list(dict.fromkeys(one for one, _ in pairs)), list(dict.fromkeys(other for _, other in pairs))
    if key:
        casts = comparable(before, after, key)
        met = (
            old.select(*(pl.col(name).alias(f"o{name}") for name in left), *(one for one, _ in casts))
            .join(
                new.select(*(pl.col(name).alias(f"n{name}") for name in right), *(other for _, other in casts)),
                on=list(key),
                nulls_equal=True,
            )
            .drop(key)
        )
    else:
        height = min(frame.select(pl.len()).collect(engine="streaming").item() for frame in (old, new))
        sides = [(old, left, "o"), (new, right, "n")]
        met = pl.concat(
            [
                frame.select(pl.col(name).alias(side + name) for name in names).head(height)
                for frame, names, side in sides
            ],
            how="horizontal",
        )
    equal = [
        (pl.col(f"o{one}").eq_missing(pl.col(f"n{other}")).all() & pl.col(f"o{one}").is_not_null().any()).alias(
            f"{place}"
        )
        for place, (one, other) in enumerate(pairs)
    ]
    said = met.select(equal).collect(engine="streaming").row(0)
    found: dict[str, str] = {}
    for (one, other), same in zip(pairs, said, strict=True):
        if same and one not in found and other not in found.values():
            found[one] = other
    return found


def comparable(
    old: Mapping[str, pl.DataType], new: Mapping[str, pl.DataType], names: Sequence[str]
) -> list[tuple[pl.Expr, pl.Expr]]:
    """For each column of both tables, the two expressions that make its cells of one type, which can be compared."""
    return [(_compared(name, old[name], new[name]), _compared(name, new[name], old[name])) for name in names]


def _compared(name: str, dtype: pl.DataType, other: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == other:
        return column.cast(pl.String) if _has_categories(dtype) else column
    if dtype == pl.Null:
        return column.cast(pl.String if _has_categories(other) else other)
    if other == pl.Null:
        return column.cast(pl.String) if _has_categories(dtype) else column
    if dtype.is_nested():
        return pl.struct(column).struct.json_encode().alias(name)
    if dtype.is_numeric() and other.is_numeric():
        whole = dtype.is_integer() and other.is_integer()
        return column.cast(pl.Int128 if whole else pl.Float64)
    return column.cast(pl.String)


def _has_categories(dtype: pl.DataType) -> bool:
    """Whether the cells of two tables can only be compared as text: each has categories of its own."""
    return isinstance(dtype, pl.Categorical | pl.Enum)


def require_key(key: Sequence[str], tables: Sequence[tuple[str, Mapping[str, pl.DataType]]]) -> None:
    """Refuse a key that one of the tables lacks a column of.

    Args:
        key: the columns.
        tables: what each table is called, and its columns.

    Raises:
        Invalid: a column is missing.
    """
    for which, columns in tables:
        missing = next((name for name in key if name not in columns), None)
        if missing is not None:
            raise Invalid(
                f"the {which} table has no column {missing!r}",
                code="diff.no_column",
                hint=f"It has: {', '.join(list(columns)[:50])}.",
            )


def refuse_shared_keys(keys: pl.DataFrame, which: str) -> None:
    """Refuse rows that share their key with another.

    Args:
        keys: the columns of the key, of every row.
        which: what the table is called.

    Raises:
        Invalid: there are such rows; with an example.
    """
    # Counting the different ones takes a fraction of looking which stand twice.
    if keys.n_unique() != keys.height:
        twice = keys.is_duplicated()
        example: dict[str, object] = keys.filter(twice).row(0, named=True)
        shown = ", ".join(f"{name}={value!r}" for name, value in example.items())
        raise Invalid(
            f"{int(twice.sum())} rows of the {which} table share their key with another, for example {shown}",
            code="diff.duplicate_key",
            hint="Name more columns of the key, or compare without one (`--keyless`).",
            facts={"example": {name: str(value) for name, value in example.items()}},
        )


def cells_as_text(column: pl.Series) -> pl.Series:
    """Cells as a person reads them: nested ones as JSON, where a NaN is null; a missing one is null."""
    if not column.dtype.is_nested():
        return column.cast(pl.String, strict=False)
    wrapped = (
        column.rename("v")
        .to_frame()
        .select(pl.struct("v").struct.json_encode().alias("text"), null=pl.col("v").is_null())
    )
    bare = pl.col("text").str.strip_prefix('{"v":').str.strip_suffix("}")
    return wrapped.select(pl.when(~pl.col("null")).then(bare)).to_series().rename(column.name)
