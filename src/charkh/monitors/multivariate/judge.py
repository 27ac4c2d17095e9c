"""Judge many columns at once: do live rows come from where the reference comes from?"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.core.monitor_settings import JOINT_TESTS
from charkh.monitors.multivariate.domain import Fit, domain, fisher
from charkh.monitors.multivariate.features import features_of, is_vector, vectors_of
from charkh.monitors.multivariate.mmd import mean_distance, mmd
from charkh.monitors.permutation import ROUNDS, Chance, Groups, groups_of, permute
from charkh.monitors.trees import binning_of, boost

Floats = npt.NDArray[np.float64]

METHODS = JOINT_TESTS
LEVEL = 0.01
MIN_ROWS = 50
ROWS = 20_000
"""Rows of either side at most; of more, every k-th is taken, so that time stays in order."""
PROJECTED = 32
"""Directions in which the covariance of vectors is compared."""


class JointTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test of many columns.

    Attributes:
        name: `mmd`, `domain`, `embedding.mmd`, `embedding.domain`, `embedding.mean` or `embedding.covariance`.
        effect: how large the difference is beyond what chance gives; of a classifier its AUC, 0.5 for no difference.
        p: probability of one as large by chance, at least 1/(permutations+1).
        groups: of rows, of both sides, that were permuted.
        drifted: it is not chance.
    """

    name: str
    effect: float
    p: float
    groups: int
    drifted: bool


class Multivariate(msgspec.Struct, frozen=True, kw_only=True):
    """What many columns came to.

    Attributes:
        rows: live rows that were looked at.
        reference_rows: rows of the reference, likewise.
        columns: that were compared together.
        embedding: column of vectors that was compared, or empty.
        tests: what was tested.
        refused: by name of a test, why it was not made, or why it can find nothing.
    """

    rows: int
    reference_rows: int
    columns: tuple[str, ...] = ()
    embedding: str = ""
    tests: tuple[JointTest, ...] = ()
    refused: dict[str, str] = {}

    def facts(self) -> dict[str, Fact]:
        """The numbers by name: an effect is that of no difference where it can be chance, so it raises no alarm."""
        found: dict[str, Fact] = {}
        for test in self.tests:
            is_auc = test.name.endswith("domain")
            found[f"{test.name}.auc" if is_auc else test.name] = test.effect if test.drifted else 0.5 * is_auc
            found[f"{test.name}.p"] = test.p
        return found


def multivariate(
    reference: pl.DataFrame,
    live: pl.DataFrame,
    *,
    methods: Sequence[str] = METHODS,
    columns: Sequence[str] | None = None,
    embedding: str = "",
    block: str = "",
    level: float = LEVEL,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Multivariate:
    """Test whether both tables come from one distribution of all columns together.

    Args:
        reference: rows that the model was trained or accepted on, in their order.
        live: rows that it met, likewise.
        methods: `mmd`, `domain` or both.
        columns: that are compared; without, all scalar ones that both have, but for the block.
        embedding: a column of vectors that is compared by itself.
        block: column, of both, whose equal values share what made them, such as the day. Without, runs of
            neighbouring rows stay together.
        level: of p, at which a difference is no chance.
        rounds: permutations.
        seed: of all that is random; the same rows and seed give the same numbers.

    Raises:
        Invalid: a method, a column or the block is not there.
    """
    _check(methods, reference, live, [*([embedding] if embedding else []), *([block] if block else [])])
    reference, live = (_some(side) for side in (reference, live))
    names = _columns(reference, live, columns, {block, embedding})
    refused, tests = dict[str, str](), list[JointTest]()
    if min(reference.height, live.height) < MIN_ROWS:
        few = f"{min(reference.height, live.height)} rows are fewer than {MIN_ROWS}"
        return Multivariate(rows=live.height, reference_rows=reference.height, refused=dict.fromkeys(methods, few))

    def test(name: str, groups: Groups, look: Callable[[], Chance | None]) -> None:
        found = look()
        if found is None:
            refused[name] = f"{len(groups.live)} groups of rows are too few to learn from half of them"
            return
        if found.least > level:
            refused[name] = (
                f"{int(groups.live.sum())} of {len(groups.live)} groups of rows are live, of {rounds} permutations: "
                f"no p can be {level:g} or less"
            )
        effect = found.value if name.endswith("domain") else math.sqrt(max(0.0, found.value - found.expected))
        tests.append(JointTest(name=name, effect=effect, p=found.p, groups=len(groups.live), drifted=found.p <= level))

    if names:
        groups = _groups(reference, live, block)
        if "mmd" in methods:
            rows = features_of(reference, live, names)
            test("mmd", groups, lambda: mmd(rows, groups, rounds=rounds, seed=seed))
        if "domain" in methods:
            fit = _trees(pl.concat([reference.select(names), live.select(names)], how="vertical_relaxed"))
            test("domain", groups, lambda: domain(groups, fit, rounds=rounds, seed=seed))
    elif methods:
        refused |= dict.fromkeys(methods, "no column is in both tables with one type")
    if embedding:
        _vectors(reference, live, embedding, block, methods, test, refused, rounds, seed)
    return Multivariate(
        rows=live.height,
        reference_rows=reference.height,
        columns=tuple(names),
        embedding=embedding,
        tests=tuple(tests),
        refused=refused,
    )


def _vectors(
    reference: pl.DataFrame,
    live: pl.DataFrame,
    name: str,
    block: str,
    methods: Sequence[str],
    test: Callable[[str, Groups, Callable[[], Chance | None]], None],
    refused: dict[str, str],
    rounds: int,
    seed: int,
) -> None:
    """Shift of the mean and the covariance, and the methods, of a column of vectors."""
    (before, there), (after, met) = (vectors_of(side[name]) for side in (reference, live))
    reference, live = reference.filter(pl.Series(there)), live.filter(pl.Series(met))
    if before.shape[1] != after.shape[1] or min(len(before), len(after)) < MIN_ROWS:
        refused["embedding"] = f"{name!r} has too few vectors, or of other lengths than the reference"
        return
    rows = np.concatenate([before, after])
    # One scale for all directions: distances and angles between vectors keep their meaning.
    rows = (rows - rows.mean(axis=0)) / (float(np.sqrt(rows.var(axis=0).mean())) or 1.0)
    groups = _groups(reference, live, block)
    kept = rows[groups.rows]
    random = np.random.default_rng(seed)
    width = rows.shape[1]
    directions = np.eye(width) if width <= PROJECTED else random.normal(0, width**-0.5, (width, PROJECTED))
    seen = kept @ directions
    pairs = np.triu_indices(seen.shape[1])
    products = np.concatenate([seen[:, pairs[0]] * seen[:, pairs[1]], seen], axis=1)
    means, second = groups.sums(kept), groups.sums(products)
    test(
        "embedding.mean",
        groups,
        lambda: permute(
            lambda labels: mean_distance(labels, means, groups.counts) / width, groups.live, rounds=rounds, seed=seed
        ),
    )
    test(
        "embedding.covariance",
        groups,
        lambda: permute(
            lambda labels: _covariance_distance(labels, second, groups.counts, pairs),
            groups.live,
            rounds=rounds,
            seed=seed,
        ),
    )
    if "mmd" in methods:
        test("embedding.mmd", groups, lambda: mmd(rows, groups, rounds=rounds, seed=seed))
    if "domain" in methods:
        squares = (rows @ directions) ** 2
        fit = fisher(np.concatenate([rows, squares], axis=1))
        test("embedding.domain", groups, lambda: domain(groups, fit, rounds=rounds, seed=seed))


def _covariance_distance(labels: Floats, sums: Floats, counts: Floats, pairs: tuple[Any, ...]) -> Floats:
    """By labelling, the mean squared difference of the entries of both covariances."""
    live = (labels @ counts)[:, np.newaxis]
    some = labels @ sums
    sides = [some / live, (sums.sum(axis=0) - some) / (counts.sum() - live)]
    entries = len(pairs[0])
    each = [side[:, :entries] - side[:, entries:][:, pairs[0]] * side[:, entries:][:, pairs[1]] for side in sides]
    return ((each[0] - each[1]) ** 2).mean(axis=1)


def _trees(frame: pl.DataFrame) -> Fit:
    codes = binning_of(frame).codes(frame)

    def fit(chosen: npt.NDArray[np.intp], labels: Floats) -> Callable[[npt.NDArray[np.intp]], Floats]:
        fitted = boost(codes[chosen], labels, classes=True, rounds=40, rate=0.2)
        return lambda others: fitted.values(codes[others])

    return fit


def _groups(reference: pl.DataFrame, live: pl.DataFrame, block: str) -> Groups:
    if not block:
        return groups_of(reference.height, live.height)
    sides = [side[block].cast(pl.String).fill_null("").to_numpy() for side in (reference, live)]
    return groups_of(reference.height, live.height, (sides[0], sides[1]))


def _columns(
    reference: pl.DataFrame, live: pl.DataFrame, columns: Sequence[str] | None, without: set[str]
) -> list[str]:
    wanted = reference.columns if columns is None else columns
    kinds = {
        name: _kind(reference[name].dtype) for name in wanted if name in reference.columns and name in live.columns
    }
    return [name for name, kind in kinds.items() if name not in without and kind and kind == _kind(live[name].dtype)]


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return str(dtype)
    return "category" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean) else ""


def _some(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.gather_every(-(-frame.height // ROWS)) if frame.height > ROWS else frame


def _check(methods: Sequence[str], reference: pl.DataFrame, live: pl.DataFrame, columns: Sequence[str]) -> None:
    unknown = [each for each in methods if each not in METHODS]
    if unknown:
        raise Invalid(
            f"no test of many columns is called {unknown[0]!r}",
            code="monitor.multivariate",
            hint=f"There are: {', '.join(METHODS)}.",
        )
    for name in columns:
        for side, what in ((reference, "reference"), (live, "live rows")):
            if name not in side.columns:
                raise Invalid(
                    f"the {what} have no column {name!r}",
                    code="monitor.no_column",
                    hint=f"They have: {', '.join(side.columns[:20])}.",
                )


def check_embedding(dtype: pl.DataType, name: str) -> None:
    """Refuse a column that holds no vectors.

    Raises:
        Invalid: it is of another type.
    """
    if not is_vector(dtype):
        raise Invalid(
            f"the column {name!r} is {dtype}, which holds no vectors",
            code="monitor.embedding",
            hint="Name a column of lists or arrays of numbers of one length in `embedding`.",
        )
