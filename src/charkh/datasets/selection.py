"""Which rows are a person's: an expression, or values of a column; and the texts by which they are found elsewhere."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import polars as pl
from blake3 import blake3

from charkh.core.errors import Invalid
from charkh.core.expressions import Call, Column, Expression, Literal, parse_expression
from charkh.datasets.expressions import compile_condition

LEAST_TEXT = 4
"""Characters that a text needs to be looked for outside of its column: shorter ones stand everywhere."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on rows; it says who is meant, so it is never stored and never printed.

    Attributes:
        where: an expression of `charkh.core.expressions`, or empty.
        column: with `values`: the column that has one of them.
        values: as texts; a cell is compared as text.
    """

    where: str = ""
    column: str = ""
    values: tuple[str, ...] = ()

    def condition(self, schema: Mapping[str, pl.DataType]) -> pl.Expr | None:
        """The condition over a table with these columns; None where it lacks one that is asked about.

        Raises:
            Invalid: the expression cannot be read, or asks a column for what its type has not.
        """
        if self.where:
            if not set(columns_of(parse_expression(self.where))) <= schema.keys():
                return None
            return compile_condition(self.where, schema).fill_null(value=False)
        if self.column not in schema or schema[self.column].is_nested():
            return None
        text = pl.col(self.column).cast(pl.String, strict=False)
        return text.is_in(list(self.values)).fill_null(value=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """What is looked for in documents and bytes: the values, or the texts that the expression names."""
        found = texts_of(parse_expression(self.where)) if self.where else iter(self.values)
        return tuple(dict.fromkeys(text for text in found if len(text) >= LEAST_TEXT))

    def keyed_hash(self, key: bytes) -> str:
        """A hash that tells two selections apart for whoever has the key of 32 bytes, and says nothing otherwise."""
        said = msgspec.json.encode([self.where, self.column, sorted(self.values)])
        return blake3(said, key=key).hexdigest()


def checked_selection(where: str, column: str, values: Sequence[str]) -> Selection:
    """A selection of one of the two sorts.

    Raises:
        Invalid: it says both or neither, or the expression cannot be read.
    """
    given = tuple(dict.fromkeys(value for value in values if value))
    if bool(where) == bool(column) or bool(column) != bool(given):
        raise Invalid(
            "it is not said whose rows are meant",
            code="dataset.no_selection",
            hint="Say --where 'email == …', or --column NAME with --value or --values FILE.",
        )
    if where and not list(columns_of(parse_expression(where))):
        raise Invalid(
            "the expression names no column, so it means all rows or none",
            code="dataset.no_selection",
            hint="Compare a column with a value, such as \"email == 'ann@example.org'\".",
        )
    return Selection(where=where, column=column, values=given)


def columns_of(node: Expression) -> Iterator[str]:
    """The columns that an expression asks about."""
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from columns_of(argument)


def texts_of(node: Expression) -> Iterator[str]:
    """The texts that an expression compares with."""
    if isinstance(node, Literal) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from texts_of(argument)
