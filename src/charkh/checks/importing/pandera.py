"""Carry over a schema of Pandera (its YAML, with checks flat beside a column or below `checks`)."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import msgspec

from charkh.checks.importing.imported import Imported, Left, NotCarried, Translated, gather
from charkh.checks.importing.kinds import kind_of_name
from charkh.checks.row_rules import Length, NoneOf, NotNull, OneOf, Pattern, Range, Unique
from charkh.checks.suite import Rule
from charkh.checks.table_rules import ColumnExists, Columns
from charkh.core.errors import Invalid, Unavailable
from charkh.core.redact import redact

Given = Mapping[str, Any]
_BOUNDS = {
    "greater_than": "above",
    "greater_than_or_equal_to": "min",
    "less_than": "below",
    "less_than_or_equal_to": "max",
}
_OF_COLUMNS = frozenset(
    {"dtype", "nullable", "required", "unique", "coerce", "regex", "title", "description", "checks", "default"}
    | {"metadata", "drop_invalid_rows", "report_duplicates", "name"}
)


def import_suite(text: str, source: str = "schema") -> Imported:
    """The suite in a schema's YAML.

    Args:
        text: what `to_yaml` wrote.
        source: what to call it in errors.

    Raises:
        Invalid: it is no schema of a table.
        Unavailable: YAML cannot be read without an extra.
    """
    document = _read(text, source)
    columns = cast(dict[str, dict[str, Any]], document.get("columns") or {})
    translations = [each for name, column in columns.items() for each in _column(name, column or {})]
    translations += _table(document, columns)
    return gather(
        redact(f"Pandera: {document.get('name') or document.get('title') or source}"),
        translations,
        left=_lost(document),
    )


def _read(text: str, source: str) -> dict[str, Any]:
    try:
        # Here, because YAML is an extra: only this importer reads it.
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        raise Unavailable(
            "reading YAML needs ruamel.yaml", code="check.no_yaml", hint="pip install 'charkh[suites]'"
        ) from error
    try:
        document: Any = YAML(typ="safe").load(io.StringIO(text))
    except YAMLError as error:
        raise Invalid(
            f"{source} is no YAML: {' '.join(str(error).split())[:200]}",
            code="check.not_a_suite",
            hint="Mend the file.",
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("columns"), dict | None):
        raise Invalid(
            f"{source} is no schema of Pandera", code="check.not_a_suite", hint="It is what `schema.to_yaml()` writes."
        )
    return cast(dict[str, Any], document)


def _column(name: str, column: Given) -> Iterator[tuple[str, Callable[[], Translated]]]:
    if column.get("regex"):
        yield f"column {name}", lambda: _not("its name is a pattern over columns")
        return
    required = column.get("required", True)
    if required or column.get("dtype"):
        yield f"column {name}", lambda: _typed(name, column, bool(required))
    if not column.get("nullable", False):
        yield f"{name}: nullable false", lambda: Translated([NotNull(columns=(name,))], _absent(column))
    if column.get("unique"):
        yield f"{name}: unique", lambda: Translated([Unique(columns=(name,), alone=True)], _absent(column))
    for check, given, options in _checks(column):
        yield f"{name}: {check}", _checked(name, check, given, options)


def _absent(column: Given) -> str:
    return "" if column.get("required", True) else "there the column may be missing"


def _not(why: str) -> Translated:
    raise NotCarried(why)


def _typed(name: str, column: Given, required: bool) -> Translated:
    dtype = str(column.get("dtype") or "")
    kind = kind_of_name(dtype)
    if not required:
        raise NotCarried("the type of a column that may be missing is not checked")
    if column.get("coerce"):
        return Translated([ColumnExists(column=name)], f"there it is made {dtype}: cast it in a recipe")
    note = f"{dtype} has no equal here" if dtype and not kind else f"there {dtype}" if kind and kind != dtype else ""
    return Translated([ColumnExists(column=name, dtype=kind)], note)


def _checks(column: Given) -> Iterator[tuple[str, Any, Given]]:
    nested: Any = column.get("checks") or {}
    flat = {key: value for key, value in column.items() if key not in _OF_COLUMNS}
    listed: list[tuple[str, Any]] = [*flat.items()]
    if isinstance(nested, dict):
        listed += cast(dict[str, Any], nested).items()
    elif isinstance(nested, list):
        listed += [pair for each in cast(list[dict[str, Any]], nested) for pair in each.items()]
    for check, value in listed:
        options: dict[str, Any] = {}
        given = value
        if isinstance(value, dict):
            fields = dict(cast(dict[str, Any], value))
            options = dict(fields.pop("options", None) or {})
            for key in ("raise_warning", "ignore_na", "error", "n_failure_cases", "name", "title", "description"):
                if key in fields:
                    options[key] = fields.pop(key)
            given = fields["value"] if set(fields) == {"value"} else fields
        yield check, given, options


def _checked(name: str, check: str, given: Any, options: Given) -> Callable[[], Translated]:
    def translate() -> Translated:
        try:
            rules = list(_rules(name, check, given))
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise NotCarried(f"its values are not understood: {error}") from error
        fields: dict[str, Any] = {"severity": "warning"} if options.get("raise_warning") else {}
        if isinstance(options.get("error"), str):
            fields["reason"] = redact(str(options["error"]))[:200]
        note = "there a missing value fails it" if options.get("ignore_na") is False else ""
        return Translated([msgspec.structs.replace(rule, **fields) for rule in rules], note)

    return translate


def _rules(name: str, check: str, given: Any) -> Iterator[Rule]:
    fields = cast(dict[str, Any], given) if isinstance(given, dict) else {}
    plain = cast(Any, given)
    if check in _BOUNDS:
        yield _range(name, {_BOUNDS[check]: given})
    elif check == "in_range":
        low = "min" if fields.get("include_min", True) else "above"
        high = "max" if fields.get("include_max", True) else "below"
        yield _range(name, {low: fields["min_value"], high: fields["max_value"]})
    elif check == "isin":
        yield OneOf(column=name, values=tuple(fields.get("allowed_values", plain)))
    elif check == "notin":
        yield NoneOf(column=name, values=tuple(fields.get("forbidden_values", plain)))
    elif check in {"equal_to", "not_equal_to"}:
        yield (OneOf if check == "equal_to" else NoneOf)(column=name, values=(plain,))
    elif check in {"str_matches", "str_contains", "str_startswith", "str_endswith"}:
        yield Pattern(column=name, pattern=_pattern(check, fields["pattern"] if fields else plain))
    elif check == "str_length":
        exact = fields.get("exact_value") if fields else plain
        low, high = (exact, exact) if exact is not None else (fields.get("min_value"), fields.get("max_value"))
        yield Length(column=name, min=int(low or 0), max=None if high is None else int(high))
    else:
        raise NotCarried("there is no such check here; write it as a `condition`")


def _range(name: str, bounds: dict[str, Any]) -> Range:
    written = {key: str(value) if not isinstance(value, int | float) else value for key, value in bounds.items()}
    return msgspec.convert({"check": "range", "column": name, **written}, Range)


def _pattern(check: str, text: str) -> str:
    """Over the whole text; `str_matches` is bound to the beginning alone."""
    return {
        "str_matches": f"(?:{text})(?s:.*)",
        "str_contains": f"(?s:.*)(?:{text})(?s:.*)",
        "str_startswith": f"{re.escape(text)}(?s:.*)",
        "str_endswith": f"(?s:.*){re.escape(text)}",
    }[check]


def _table(document: Given, columns: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Translated]]]:
    unique: Any = document.get("unique")
    if unique:
        names = (unique,) if isinstance(unique, str) else tuple(unique)
        yield f"unique {', '.join(names)}", lambda: Translated([Unique(columns=names, alone=True)])
    if document.get("strict") is True:
        yield "strict", lambda: Translated([Columns(only=tuple(columns))])
    if document.get("ordered"):
        yield "ordered", lambda: Translated([Columns(ordered=tuple(columns))])


def _lost(document: Given) -> Iterator[Left]:
    for check in document.get("checks") or ():
        yield Left(source=f"table: {check}", why="checks over a whole table are Python; write a `condition`")
    if document.get("index"):
        yield Left(source="index", why="a table has no index here")
    if document.get("strict") == "filter":
        yield Left(source="strict: filter", why="a check removes no columns; a recipe does")
