"""Carry over a schema of TensorFlow Data Validation (schema.pbtxt)."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from charkh.checks.importing.imported import Imported, Left, NotCarried, Translated, gather
from charkh.checks.row_rules import NotNull, OneOf, Range
from charkh.checks.table_rules import ColumnExists, Drift, History, Measured, RowCount
from charkh.core.errors import Invalid, Unavailable

_TYPES = {1: "text", 2: "integer", 3: "number"}
_INT64 = 2**63 - 1
_LIST = "a feature of several values is a list here, which has no row rule"
_NO_THRESHOLD = 1.0
_NO_INDEX = 1e9


def import_suite(text: str, source: str = "schema.pbtxt") -> Imported:
    """The suite in a schema's text.

    Args:
        text: the protocol buffer `tensorflow.metadata.v0.Schema`, in text format.
        source: what to call it in errors.

    Raises:
        Invalid: it is no such schema.
        Unavailable: it cannot be read without an extra.
    """
    schema = _read(text, source)
    domains = {domain.name: tuple(domain.value) for domain in schema.string_domain}
    translations = [each for feature in schema.feature for each in _feature(feature, domains)]
    translations += _table(schema)
    return gather(f"TensorFlow Data Validation: {source}", translations, left=_lost(schema))


def _read(text: str, source: str) -> Any:
    try:
        # Here, because protocol buffers are an extra: only this importer reads them.
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise Unavailable(
            "reading a schema of TFDV needs tensorflow-metadata",
            code="check.no_tfdv",
            hint="pip install 'charkh[suites]'",
        ) from error
    parse = cast(Callable[..., Any], text_format.Parse)
    build = cast(Callable[[], Any], cast(Any, schema_pb2).Schema)
    try:
        return parse(text, build(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise Invalid(
            f"{source} is no schema of TFDV: {error}", code="check.not_a_suite", hint="It is a schema.pbtxt."
        ) from error


def _feature(feature: Any, domains: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Callable[[], Translated]]]:
    name: str = feature.name
    if feature.lifecycle_stage in {1, 2, 4, 5, 6} or feature.deprecated:
        yield f"feature {name}", lambda: _not("its lifecycle stage says that it is not checked")
        return
    if feature.not_in_environment or feature.in_environment:
        yield f"{name}: environments", lambda: _not("there are no environments: write a suite for each")
    repeated = _is_repeated(feature)
    optional = not feature.HasField("presence") or not (feature.presence.min_fraction or feature.presence.min_count)
    if not optional:
        dtype = "" if repeated else "boolean" if feature.HasField("bool_domain") else _TYPES.get(feature.type, "")
        yield f"feature {name}", lambda: Translated([ColumnExists(column=name, dtype=dtype)])
        yield f"{name}: presence", lambda: _presence(name, feature)
    yield from _domain(name, feature, domains, repeated)
    if feature.HasField("unique_constraints"):
        bounds = feature.unique_constraints
        yield (
            f"{name}: unique_constraints",
            lambda: Translated([Measured(column=name, of="distinct", min=bounds.min or None, max=bounds.max or None)]),
        )
    yield from _comparators(name, feature)


def _not(why: str) -> Translated:
    raise NotCarried(why)


def _is_repeated(feature: Any) -> bool:
    if feature.HasField("value_count"):
        return feature.value_count.max != 1
    if feature.HasField("shape"):
        return any(dim.size != 1 for dim in feature.shape.dim)
    return False


def _presence(name: str, feature: Any) -> Translated:
    share, count = float(feature.presence.min_fraction), int(feature.presence.min_count)
    rules: list[Any] = []
    if share:
        rules.append(NotNull(columns=(name,), at_most=max(0.0, round(1 - share, 9))))
    if count > 1:
        rules.append(RowCount(min=count, when=f"`{name}` is not null"))
    if not rules:
        rules.append(RowCount(min=1, when=f"`{name}` is not null"))
    return Translated(rules)


def _domain(
    name: str, feature: Any, domains: dict[str, tuple[str, ...]], repeated: bool
) -> Iterator[tuple[str, Callable[[], Translated]]]:
    kind = feature.WhichOneof("domain_info")
    if not kind or kind == "bool_domain":
        return
    mass = feature.distribution_constraints.min_domain_mass if feature.HasField("distribution_constraints") else 1.0
    tolerated: dict[str, Any] = {"at_most": max(0.0, round(1 - mass, 9))} if mass < 1 else {}
    if repeated:
        yield f"{name}: {kind}", lambda: _not(_LIST)
    elif kind in {"domain", "string_domain"}:
        values = domains.get(feature.domain, ()) if kind == "domain" else tuple(feature.string_domain.value)
        yield f"{name}: {kind}", lambda: Translated([OneOf(column=name, values=values, **tolerated)])
    elif kind in {"int_domain", "float_domain"}:
        yield f"{name}: {kind}", lambda: _number_domain(name, feature, kind, tolerated)
    else:
        yield f"{name}: {kind}", lambda: _not("there is no such domain here")


def _number_domain(name: str, feature: Any, kind: str, tolerated: dict[str, Any]) -> Translated:
    domain = getattr(feature, kind)
    low = domain.min if domain.HasField("min") else None
    high = domain.max if domain.HasField("max") else None
    low = None if low is None or low in {-float("inf"), -_INT64 - 1} else low
    high = None if high is None or high in {float("inf"), _INT64} else high
    if low is None and high is None:
        raise NotCarried("it has no bounds")
    return Translated([Range(column=name, min=low, max=high, **tolerated)])


def _comparators(name: str, feature: Any) -> Iterator[tuple[str, Callable[[], Translated]]]:
    if feature.HasField("drift_comparator"):
        yield f"{name}: drift_comparator", lambda: _drift(name, feature.drift_comparator)
    if feature.HasField("skew_comparator"):
        against = 'write a drift rule with against = "model:NAME@champion"'
        yield f"{name}: skew_comparator", lambda: _not(f"what it is skewed against is not in the schema: {against}")


def _drift(name: str, comparator: Any) -> Translated:
    floors: dict[str, Any] = {**dict.fromkeys(("ks", "js", "linf", "missing", "new"), _NO_THRESHOLD), "psi": _NO_INDEX}
    if comparator.HasField("infinity_norm"):
        floors["linf"] = float(comparator.infinity_norm.threshold)
    if comparator.HasField("jensen_shannon_divergence"):
        # There the divergence, here the distance: its root.
        floors["js"] = min(1.0, round(float(comparator.jensen_shannon_divergence.threshold) ** 0.5, 9))
    rule = Drift(against="previous", columns=(name,), **floors)
    return Translated([rule], "here a change must also be too large for chance")


def _table(schema: Any) -> Iterator[tuple[str, Callable[[], Translated]]]:
    if not schema.HasField("dataset_constraints"):
        return
    constraints = schema.dataset_constraints
    low, high = int(constraints.min_examples_count), int(constraints.max_examples_count)
    if low or high:
        yield "examples_count", lambda: Translated([RowCount(min=low, max=high or None)])
    if constraints.HasField("num_examples_drift_comparator"):
        comparator = constraints.num_examples_drift_comparator
        rise = comparator.max_fraction_threshold - 1 if comparator.HasField("max_fraction_threshold") else None
        fall = 1 - comparator.min_fraction_threshold if comparator.HasField("min_fraction_threshold") else None
        yield (
            "num_examples_drift_comparator",
            lambda: Translated([History(metric="rows", rise=_positive(rise), fall=_positive(fall))]),
        )


def _positive(value: float | None) -> float | None:
    return None if value is None else max(0.0, round(value, 9))


def _lost(schema: Any) -> Iterator[Left]:
    for feature in schema.sparse_feature:
        yield Left(source=f"sparse_feature {feature.name}", why="a table here has no sparse features")
    for feature in schema.weighted_feature:
        yield Left(source=f"weighted_feature {feature.name}", why="a column has no weight here")
