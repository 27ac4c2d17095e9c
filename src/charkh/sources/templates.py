"""Names in braces in a URL, and what stands for them: `{year}` of `2013..2015`, `{month:02}` of `1..12`."""

import itertools
import re
from collections.abc import Iterator

from charkh.core.errors import Invalid
from charkh.core.source_settings import Values

MAX_EXPANDED = 10_000
_NAME = re.compile(r"\{(\w+)(?::(0?)(\d{1,2}))?\}")
_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})")


def expand(template: str, values: Values, *others: str) -> Iterator[tuple[str, ...]]:
    """A template, and others beside it, filled in with every combination of the values.

    Args:
        template: with each name of `values` in braces; `{name:02}` pads a number with zeros.
        values: for each name a list, or a range.
        others: templates that are filled in with the same values.

    Raises:
        Invalid: a name has no values, values are not used, or there are more than 10,000 combinations.
    """
    named = {match[1] for match in _NAME.finditer(template)}
    wanted = named | {match[1] for other in others for match in _NAME.finditer(other)}
    for name in sorted(wanted ^ set(values)):
        what = "has no values" if name in wanted else "stands nowhere in the url"
        raise Invalid(
            f"{{{name}}} {what}",
            code="source.template",
            hint=f'Write values = {{{name} = "1..12"}} and {{{name}}} in url.',
        )
    lists = {name: _listed(name, value) for name, value in values.items()}
    count = 1
    for each in lists.values():
        count *= len(each)
    if count > MAX_EXPANDED:
        raise Invalid(
            f"the url stands for {count:,} addresses, more than {MAX_EXPANDED:,}",
            code="source.template",
            hint="Make several sources of it.",
        )
    for chosen in itertools.product(*lists.values()):
        given = dict(zip(lists, chosen, strict=True))
        yield tuple(_filled(text, given) for text in (template, *others))


def _listed(name: str, value: str | tuple[str | int, ...]) -> list[str]:
    if not isinstance(value, str):
        return [str(each) for each in value]
    match = _RANGE.fullmatch(value.strip())
    if match is None:
        raise Invalid(
            f"values.{name} is {value!r}", code="source.template", hint='Write a range, "2013..2015", or a list.'
        )
    first, last = int(match[1]), int(match[2])
    return [str(each) for each in range(first, min(last, first + MAX_EXPANDED) + 1)]


def _filled(text: str, given: dict[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        value = given[match[1]]
        if not match[3]:
            return value
        width = int(match[3])
        return value.zfill(width) if match[2] else value.rjust(width)

    return _NAME.sub(one, text)
