"""The TOML document of a suite: reading it with errors that help, and writing it with comments."""

import datetime
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import tomlkit
from tomlkit.items import AoT, Table

from charkh.checks.suite import FORMAT, MAX_RULES, SHAPES, CheckSuite, Rule, rule_ids
from charkh.checks.validate import validate_patterns, validate_rule
from charkh.core.config import parse_table
from charkh.core.errors import Invalid

_RULE_LINE = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_LISTS = frozenset({"by", "columns", "to_columns", "only", "ordered", "values"})


def parse_suite(text: str, source: str = "checks", *, recorded: bool = False) -> CheckSuite:
    """The suite in a TOML document.

    Args:
        text: the document.
        source: what to call it in errors, such as the file's name.
        recorded: it has run already: a regular expression that this Polars cannot read is no reason not to show it.

    Raises:
        Invalid: it is no TOML, has an unknown key or check (the nearest right one is named), or a rule has no
            meaning.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            f"{source} is no TOML: {error}",
            code="check.not_toml",
            hint="A suite is a list of [[rule]] tables; see docs/formats/checks.md.",
        ) from error
    given: object = document.get("rule", [])
    if not isinstance(given, list):
        raise Invalid(f"{source}: `rule` is one table", code="check.not_toml", hint="Write [[rule]] for each rule.")
    tables = cast(list[Any], given)
    if len(tables) > MAX_RULES:
        raise Invalid(f"{source} has more than {MAX_RULES} rules", code="check.too_long", hint="Cut it into two.")
    frame = parse_table({**document, "rule": []}, CheckSuite, source)
    if frame.format != FORMAT:
        raise Invalid(
            f"{source} is in format {frame.format}; this charkh reads {FORMAT}",
            code="check.format",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    if not 0 <= frame.at_most <= 1:
        raise Invalid(f"{source}: at_most is no share", code="check.invalid_rule", hint="Write a share from 0 to 1.")
    lines = _rule_lines(text)
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        try:
            rules.append(_parse_rule(table, number, source, check_patterns=not recorded))
        except Invalid as error:
            raise _at_line(error, text, lines[number - 1] if number <= len(lines) else 0) from error
    _refuse_equal_ids(rules, source)
    return msgspec.structs.replace(frame, rules=tuple(rules))


def format_suite(suite: CheckSuite, comments: Mapping[str, str] | None = None) -> str:
    """The document of a suite, for people; parsing it gives the suite back.

    Args:
        suite: the rules.
        comments: what to write above a rule, by its id.
    """
    document = tomlkit.document()
    document.add("format", tomlkit.item(suite.format))
    if suite.description:
        document.add("description", tomlkit.item(suite.description))
    document.add("at_most", tomlkit.item(suite.at_most))
    if suite.rules:
        document.add("rule", _rule_tables(suite.rules, comments or {}))
    return tomlkit.dumps(document)


def format_rules(rules: tuple[Rule, ...], comments: Mapping[str, str] | None = None) -> str:
    """Rules alone, as they stand in a suite's document, with comments by rule id."""
    document = tomlkit.document()
    document.add("rule", _rule_tables(rules, comments or {}))
    return tomlkit.dumps(document)


def _rule_tables(rules: tuple[Rule, ...], comments: Mapping[str, str]) -> AoT:
    tables: AoT = tomlkit.aot()
    for name, rule in zip(rule_ids(rules), rules, strict=True):
        tables.append(_rule_table(rule, comments.get(name, "")))
    return tables


def _rule_table(rule: Rule, comment: str) -> Table:
    table = tomlkit.table()
    for line in comment.splitlines():
        table.add(tomlkit.comment(line))
    for key, value in cast(dict[str, Any], msgspec.to_builtins(rule)).items():
        if value is not None:
            table.add(key, tomlkit.item(value))
    return table


def _parse_rule(table: object, number: int, source: str, *, check_patterns: bool) -> Rule:
    where = f"{source}, rule {number}"
    fields = cast(dict[str, Any], table) if isinstance(table, dict) else {}
    check = fields.get("check")
    shape = SHAPES.get(check) if isinstance(check, str) else None
    if shape is None:
        nearest = difflib.get_close_matches(str(check or ""), list(SHAPES), n=1)
        known = ", ".join(SHAPES)
        raise Invalid(
            f"{where}: there is no check {check!r}" if check else f"{where} names no check",
            code="check.unknown_check",
            hint=f"Did you mean {nearest[0]!r}? Checks are: {known}." if nearest else f"Checks are: {known}.",
            facts={"rule": number},
        )
    where = f"{where} ({check})"
    plain = {key: _written(key, value) for key, value in fields.items() if key != "check"}
    rule = cast(Rule, parse_table(plain, shape, where))
    try:
        validate_rule(rule)
    except Invalid as error:
        raise Invalid(f"{where}: {error.message}", code=error.code, hint=error.hint, facts={"rule": number}) from error
    if check_patterns:
        validate_patterns([(where, rule)])
    return rule


def _rule_lines(text: str) -> list[int]:
    """The line on which each `[[rule]]` begins, from 1."""
    return [number for number, line in enumerate(text.splitlines(), 1) if _RULE_LINE.match(line)]


def _at_line(error: Invalid, text: str, begins: int) -> Invalid:
    """The error with its line: that of the key that it names, else where the rule begins."""
    if not begins:
        return error
    key = str(error.facts.get("key", ""))
    line = begins
    for number, written in enumerate(text.splitlines()[begins:], begins + 1):
        if _RULE_LINE.match(written):
            break
        if key and written.partition("=")[0].strip() == key:
            line = number
    facts = {**error.facts, "line": line}
    return Invalid(f"{error.message} (line {line})", code=error.code, hint=error.hint, facts=facts)


def _written(key: str, value: object) -> object:
    """What a rule's struct has for what people write: text for TOML's own dates, a list for one column."""
    if isinstance(value, list):
        return [_written("", each) for each in cast(list[object], value)]
    if key in _LISTS and isinstance(value, str):
        return [value]
    return value.isoformat() if isinstance(value, datetime.date | datetime.datetime) else value


def _refuse_equal_ids(rules: Sequence[Rule], source: str) -> None:
    given = [rule.id for rule in rules if rule.id]
    twice = next((name for name in given if given.count(name) > 1), "")
    if twice:
        raise Invalid(
            f"{source}: two rules are called {twice!r}",
            code="check.invalid_rule",
            hint="Give each rule an id of its own, or none.",
        )
