"""The JSON document of a recipe: reading it with errors that help, and writing it (docs/formats/recipes.md)."""

import difflib
import math
from typing import Any, cast

import msgspec

from charkh.core.config import parse_table
from charkh.core.errors import Invalid
from charkh.recipes.operations.all import BY_OP, Operation
from charkh.recipes.recipe import FORMAT, MAX_STEPS, Recipe


def parse_recipe(text: bytes | str, source: str = "recipe") -> Recipe:
    """The recipe in a JSON document.

    Args:
        text: the document.
        source: what to call it in errors, such as the file's name.

    Raises:
        Invalid: it is no JSON, has an unknown key or operation (the nearest right one is named), or a step can
            never be applied.
    """
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{source} is no JSON: {error}",
            code="recipe.not_json",
            hint="A recipe is one JSON object; see docs/formats/recipes.md.",
        ) from error
    if not isinstance(document, dict) or not isinstance(cast(dict[str, Any], document).get("steps"), list):
        raise Invalid(
            f"{source} has no list of steps",
            code="recipe.no_steps",
            hint='Write {"recipe": 1, "steps": [{"op": "trim"}]}.',
        )
    fields = cast(dict[str, Any], document)
    steps = cast(list[Any], fields["steps"])
    if len(steps) > MAX_STEPS:
        raise Invalid(f"{source} has more than {MAX_STEPS} steps", code="recipe.too_long", hint="Cut it into two.")
    frame = parse_table({**fields, "steps": []}, Recipe, source)
    if frame.recipe != FORMAT:
        raise Invalid(
            f"{source} is in format {frame.recipe}; this charkh reads {FORMAT}",
            code="recipe.format",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    parsed = tuple(_parse_step(step, number, source) for number, step in enumerate(steps, 1))
    recipe = msgspec.structs.replace(frame, steps=parsed)
    _refuse_unknown_tables(recipe, source)
    return recipe


def format_recipe(recipe: Recipe) -> str:
    """The document of a recipe, for people; parsing it gives the recipe back.

    Raises:
        Invalid: a step has an infinite number or NaN, which JSON cannot say.
    """
    for number, step in enumerate(recipe.steps, 1):
        if not _is_finite(msgspec.to_builtins(step)):
            raise Invalid(
                f"step {number} has a number that is infinite or NaN, and JSON has none",
                code="recipe.not_finite",
                hint="Give a finite number, or leave the value missing.",
            )
    return msgspec.json.format(msgspec.json.encode(recipe)).decode() + "\n"


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, cast(dict[str, Any], value).values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, cast(list[Any], value)))
    return not isinstance(value, float) or math.isfinite(value)


def _parse_step(step: object, number: int, source: str) -> Operation:
    where = f"{source}, step {number}"
    fields = cast(dict[str, Any], step) if isinstance(step, dict) else {}
    op = fields.get("op")
    behaviour = BY_OP.get(op) if isinstance(op, str) else None
    if behaviour is None:
        nearest = difflib.get_close_matches(str(op or ""), list(BY_OP), n=1)
        known = ", ".join(BY_OP)
        raise Invalid(
            f"{where}: there is no operation {op!r}" if op else f"{where} names no operation",
            code="recipe.unknown_operation",
            hint=f"Did you mean {nearest[0]!r}? Operations are: {known}." if nearest else f"Operations are: {known}.",
            facts={"step": number},
        )
    where = f"{where} ({behaviour.op})"
    parsed = parse_table({key: value for key, value in fields.items() if key != "op"}, behaviour.shape, where)
    try:
        behaviour.validate(parsed)
    except Invalid as error:
        raise Invalid(f"{where}: {error.message}", code=error.code, hint=error.hint, facts=error.facts) from error
    return cast(Operation, parsed)


def _refuse_unknown_tables(recipe: Recipe, source: str) -> None:
    for number, step in enumerate(recipe.steps, 1):
        table = getattr(step, "table", "")
        if table and table not in recipe.tables:
            raise Invalid(
                f"{source}, step {number}: `tables` does not say which dataset {table!r} is",
                code="recipe.unknown_table",
                hint=f'Add e.g. "tables": {{"{table}": "{table}@latest"}}.',
                facts={"step": number},
            )
