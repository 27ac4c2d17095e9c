"""The proof that every projection owes: its tables are a function of the set of events.

assert_order_free([PROJECTION, LINEAGE], payloads_of(store), [Models(), ModelVersions(name="delay")])
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from charkh.core.clock import Clock
from charkh.ports.projections import Projection, Query
from charkh.ports.store import Store
from charkh.stores.catalog import Catalog
from charkh.stores.journal_memory import MemoryJournal
from charkh.stores.sql_engine import sqlite_engine

Tables = Mapping[str, Sequence[tuple[Any, ...]]]
"""By table name, the rows in a fixed order."""


def payloads_of(store: Store) -> list[bytes]:
    """Every payload that a store's journal holds."""
    return [payload for batch in store.journal.read({}) for payload in batch.payloads]


def assert_order_free(
    projections: Sequence[Projection],
    payloads: Sequence[bytes],
    queries: Sequence[Query[Any]] = (),
    *,
    rounds: int = 5,
    seed: int = 0,
) -> Tables:
    """Assert that every order, batching and repetition of the events folds into equal tables and answers.

    Args:
        projections: the nouns whose events these are.
        payloads: encoded events, such as `payloads_of(store)`; the order given is the one compared with.
        queries: questions whose answers must be equal too.
        rounds: how many random orders are tried, besides the given one and its reverse.
        seed: of the random orders.

    Returns:
        The tables that all of them gave.

    Raises:
        AssertionError: names the first table or query that differs.
    """
    if not payloads:
        raise AssertionError("there are no events: an empty set proves nothing")
    expected, answers = _fold(projections, [list(payloads)], queries)
    chooser = random.Random(seed)  # noqa: S311 - an order to try, not a secret
    batchings = [[[payload] for payload in reversed(payloads)]]
    batchings += [_shuffled(payloads, chooser) for _ in range(rounds)]
    for batches in batchings:
        tables, replies = _fold(projections, batches, queries)
        for name, rows in expected.items():
            assert tables[name] == rows, f"table {name} depends on the order or batching of events"
        for query, answer, reply in zip(queries, answers, replies, strict=True):
            assert reply == answer, f"the answer to {query!r} depends on the order or batching of events"
    return expected


def dump_tables(catalog: Catalog, projections: Sequence[Projection]) -> Tables:
    """Every row of every table of the projections, as the catalog holds them now."""
    with catalog.engine.connect() as connection, connection.begin():
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for each in projections
            for table in each.tables.sorted_tables
        }


def _shuffled(payloads: Sequence[bytes], chooser: random.Random) -> list[list[bytes]]:
    """All payloads, some twice, in random order and cut at random places."""
    mixed = [*payloads, *chooser.choices(payloads, k=max(1, len(payloads) // 3))]
    chooser.shuffle(mixed)
    batches: list[list[bytes]] = []
    while mixed:
        size = chooser.randint(1, max(1, min(len(mixed), len(payloads) // 2)))
        batches.append(mixed[:size])
        mixed = mixed[size:]
    return batches


def _fold(
    projections: Sequence[Projection], batches: Sequence[Sequence[bytes]], queries: Sequence[Query[Any]]
) -> tuple[Tables, list[Any]]:
    journal = MemoryJournal()
    catalog = Catalog(sqlite_engine(None), journal, projections, Clock(), "ann@laptop")
    try:
        for batch in batches:
            journal.append(batch)
            catalog.catch_up()
        tables = {**dump_tables(catalog, projections), "catalog_set_aside": sorted(catalog.set_aside())}
        return tables, [catalog.ask(query) for query in queries]
    finally:
        catalog.close()
