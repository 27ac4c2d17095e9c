"""What a suite compares a table with, found: other datasets, references and their profiles, earlier metrics."""

import polars as pl

from charkh.checks.context import Context
from charkh.checks.row_rules import ForeignKey
from charkh.checks.suite import CheckSuite
from charkh.checks.table_rules import Drift, History
from charkh.core.errors import NotFound
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import DatasetById
from charkh.datasets.profile.keep import history_of, profile_of
from charkh.datasets.profile.profile import TableProfile
from charkh.datasets.read import Cache, read_table
from charkh.lineage.index import Walk
from charkh.models.find import find as find_model
from charkh.ports.store import Store

MODEL = "model:"
PREVIOUS = "previous"


def context_for(
    store: Store, suite: CheckSuite, version: DatasetVersion | None, *, cache: Cache | None = None
) -> Context:
    """What the rules of a suite need beside the table.

    Args:
        store: where it is looked for.
        suite: the rules.
        version: whose table is checked as it is; None for a table that is no version, which has no earlier ones.
        cache: keeps files on disk while they are read.

    Raises:
        NotFound: a dataset or model that a rule names is not there.
    """
    tables: dict[str, pl.DataFrame] = {}
    references: dict[str, TableProfile] = {}
    for rule in suite.rules:
        if isinstance(rule, ForeignKey):
            columns = list(rule.to_columns or rule.columns)
            there = read_table(store, find_dataset(store, rule.to), columns=columns, cache=cache).unique()
            known = tables.get(rule.to)
            # Several rules may point to one dataset, each with columns of its own.
            tables[rule.to] = there if known is None else read_table(store, find_dataset(store, rule.to), cache=cache)
        elif isinstance(rule, Drift) and rule.against not in references:
            reference = reference_of(store, rule.against, version)
            if reference is not None:
                references[rule.against] = profile_of(store, reference, cache=cache)
    lasts = [rule.last for rule in suite.rules if isinstance(rule, History)]
    compared = bool(lasts) or any(isinstance(rule, Drift) for rule in suite.rules)
    return Context(
        tables=tables,
        references=references,
        history=history_of(store, version, max(lasts)) if version is not None and lasts else (),
        profile=profile_of(store, version, cache=cache) if version is not None and compared else None,
    )


def reference_of(store: Store, against: str, version: DatasetVersion | None) -> DatasetVersion | None:
    """The dataset version that a drift rule is against; None for the version before one that is the first.

    Raises:
        NotFound: what is named is not there, or a model's training data is not known.
    """
    if against == PREVIOUS:
        parent = version.made.parent if version is not None else ""
        found = store.queries.ask(DatasetById(version=parent)) if parent else None
        return found if found is not None and found.deleted is None else None
    if not against.startswith(MODEL):
        return find_dataset(store, against)
    model = find_model(store, against.removeprefix(MODEL))
    for reached in store.queries.ask(Walk(subject=model.subject)):
        if reached.edge.target.startswith("dataset:"):
            return find_dataset(store, reached.edge.target)
    raise NotFound(
        f"no dataset is known that {against} was trained on",
        code="check.no_training_data",
        hint="Train in a run that reads its table with charkh.dataset(…), or name the dataset in `against`.",
    )
