"""Bring what was inferred anew into a suite that a person has edited, without losing an edit."""

from typing import NamedTuple

from charkh.checks.document import format_rules, parse_suite
from charkh.checks.infer import Inferred
from charkh.checks.proposed import proposed, proposed_line, without_proposed
from charkh.checks.suite import Rule, check_of, needed_columns, rule_ids
from charkh.core.errors import Invalid


class Updated(NamedTuple):
    """A suite's text, and the ids of the rules that were added to it."""

    text: str
    added: tuple[str, ...]


def update_suite(text: str, inferred: Inferred, source: str = "checks") -> Updated:
    """The text with rules that were not proposed before; everything that stands in it stays as it is.

    A rule is not added when the suite has one of the same check and columns, whatever its bounds, or when an earlier
    inference proposed it and it is there no more.

    Args:
        text: the suite's document, as a person has edited it.
        inferred: from the table as it is now.
        source: what to call the document in errors.

    Raises:
        Invalid: the text is no suite, or its rules are written as one inline array.
    """
    suite = parse_suite(text, source)
    before = proposed(text, source)
    there = {_key(rule) for rule in suite.rules}
    names = rule_ids(inferred.suite.rules)
    new = {
        name: rule
        for name, rule in zip(names, inferred.suite.rules, strict=True)
        if name not in before and _key(rule) not in there
    }
    if not new and before.issuperset(names):
        return Updated(text, ())
    kept = without_proposed(text).rstrip("\n")
    parts = [kept]
    if new:
        rules = tuple(new.values())
        reasons = {name: inferred.reasons[old] for name, old in zip(rule_ids(rules), new, strict=True)}
        parts.append(format_rules(rules, reasons).rstrip("\n"))
    whole = "\n\n".join(parts) + "\n\n" + proposed_line({*before, *names})
    try:
        parse_suite(whole, source)
    except Invalid as error:
        raise Invalid(
            f"rules cannot be added to {source}: {error.message}",
            code="check.cannot_update",
            hint="Write every rule as a [[rule]] table of its own; give rules of equal ids other ids.",
        ) from error
    return Updated(whole, tuple(new))


def _key(rule: Rule) -> tuple[str, tuple[str, ...]]:
    return check_of(rule), needed_columns(rule)
