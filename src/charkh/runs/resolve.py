"""What a search names as people do, in the catalog's terms: datasets by reference, the best by a declared goal."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.ports.store import Store
from charkh.runs.index import GoalsOf, KnownNames
from charkh.runs.query import PATTERNS, All, Any_, Comparison, Condition, Family, Field, Not, Order, Scalar, compare

_GOALS: dict[str, Family] = {"max": "high", "min": "low"}
_NAMED = {"params": "params", "told": "params", "tags": "tags"}


def resolve(store: Store, condition: Condition | None) -> Condition | None:
    """The condition without `data` and `best`.

    Raises:
        Invalid: nobody said which values of a metric are the better ones.
        NotFound: there is no dataset of this name.
        Conflict: a reference means several versions.
    """
    return None if condition is None else _changed(condition, lambda each: _resolved(store, each))


def resolve_order(store: Store, orders: Sequence[Order]) -> tuple[Order, ...]:
    """The order without `best`.

    Raises:
        Invalid: as `resolve`.
    """
    return tuple(msgspec.structs.replace(each, field=resolve_field(store, each.field)) for each in orders)


def resolve_field(store: Store, field: Field) -> Field:
    """The field without `best`: the lowest or the highest, as was declared, or as the metric of this name is defined.

    Raises:
        Invalid: nobody said which values are the better ones, or both were said.
    """
    if field.family != "best":
        return field
    goals = _goals(store, field.name)
    if len(goals) == 1:
        return Field(_GOALS[goals[0]], field.name)
    said = "both more and less of it were said to be better" if goals else "nobody said whether more of it is better"
    raise Invalid(
        f"it is not known which value of the metric {field.name!r} is the best: {said}",
        code="run.no_goal",
        hint=f"Write max(metrics.{field.name}) or min(metrics.{field.name}), or say it where runs begin: "
        f'charkh.run(goals={{"{field.name}": "max"}}).',
    )


def goal_of(store: Store, field: Field) -> str:
    """`max` or `min`, as was declared or as the metric of this name is defined; empty where that is not known."""
    goals = _goals(store, field.name)
    return goals[0] if len(goals) == 1 else ""


def _goals(store: Store, name: str) -> tuple[str, ...]:
    return store.queries.ask(GoalsOf(metric=name)) or _defined(name)


def unknown_names(store: Store, condition: Condition | None, orders: Sequence[Order] = ()) -> tuple[str, ...]:
    """For each name in a search that no run has: a sentence that says so, with the nearest names that runs have."""
    fields = [each.field for each in comparisons(condition)] + [each.field for each in orders]
    said: dict[str, None] = {}
    for field in dict.fromkeys(fields):
        if field.family in {"run", "data", "used", "artifact", "text"}:
            continue
        family = _NAMED.get(field.family, "metrics")
        known = store.queries.ask(KnownNames(family=family))
        if field.name not in known:
            near = difflib.get_close_matches(field.name, known, n=3) or list(known[:5])
            meant = f": did you mean {' or '.join(near)}?" if near else ""
            said[f"no run has a {family.removesuffix('s')} {field.name!r}{meant}"] = None
    return tuple(said)


def comparisons(condition: Condition | None) -> Iterator[Comparison]:
    """Every comparison in a condition."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Not):
        yield from comparisons(condition.condition)
    elif condition is not None:
        for each in condition.conditions:
            yield from comparisons(each)


def _changed(condition: Condition, change: Callable[[Comparison], Condition]) -> Condition:
    if isinstance(condition, Comparison):
        return change(condition)
    if isinstance(condition, Not):
        return Not(_changed(condition.condition, change))
    parts = tuple(_changed(each, change) for each in condition.conditions)
    return All(parts) if isinstance(condition, All) else Any_(parts)


def _resolved(store: Store, comparison: Comparison) -> Condition:
    if comparison.field.family == "best":
        return msgspec.structs.replace(comparison, field=resolve_field(store, comparison.field))
    if comparison.field.family != "data":
        return comparison
    used = Field("used", "")
    if comparison.operator in {"is null", "is not null"}:
        any_dataset = Comparison(used, "~", ("dataset:*",))
        return any_dataset if comparison.operator == "is not null" else Not(any_dataset)
    subjects = [subject for value in comparison.values for subject in _datasets(store, comparison.operator, value)]
    return Comparison(used, "in", tuple(sorted(set(subjects))))


def _datasets(store: Store, operator: str, value: Scalar) -> Sequence[str]:
    """The subjects of the dataset versions that `flights@3` means, all of `flights`, or all that fit a pattern."""
    text = str(value)
    names = [summary.name for summary in store.queries.ask(Datasets())]
    if operator in PATTERNS:
        chosen = [each for each in names if compare(each, operator, (text,))]
    elif "@" in text or re.fullmatch(r"(dataset:)?[0-9a-f]{32}", text):
        return [find_dataset(store, text).subject]
    elif text in names:
        chosen = [text]
    else:
        near = difflib.get_close_matches(text, names, n=3) or names[:10]
        raise NotFound(
            f"there is no dataset {text!r}",
            code="dataset.not_found",
            hint=f"Known: {', '.join(near)}." if near else "There are no datasets yet.",
        )
    return [
        version.subject for name in chosen for version in store.queries.ask(DatasetVersions(name=name, deleted=True))
    ]


def _defined(name: str) -> tuple[str, ...]:
    # Here, because it loads NumPy, and a search that needs no goal should not wait for that.
    from charkh.core.metrics import LOWER_IS_BETTER, METRICS

    plain = name.rpartition("/")[2].partition("[")[0]
    if plain not in METRICS:
        return ()
    return ("min",) if plain in LOWER_IS_BETTER else ("max",)
