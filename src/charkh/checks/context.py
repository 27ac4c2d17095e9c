"""What a suite compares a table with: other datasets, profiles of references, and what metrics were before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from charkh.datasets.profile.profile import TableProfile


@dataclass(frozen=True, slots=True)
class Context:
    """What lies outside the table; a rule that needs what is not here is skipped.

    Attributes:
        tables: that foreign keys point to, by the reference that the rule gives.
        references: profiles, by what a drift rule is `against`.
        history: metrics of earlier versions, the oldest first.
        profile: of the table itself; computed where it is needed and not given.
    """

    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    references: Mapping[str, TableProfile] = field(default_factory=dict[str, TableProfile])
    history: Sequence[Mapping[str, float]] = ()
    profile: TableProfile | None = None
