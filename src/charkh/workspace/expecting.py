"""What the SDK's verbs say to a value of the wrong kind."""

from charkh.core.errors import Invalid

CONVERSIONS = {
    "pandas": "Convert it: pl.from_pandas(frame).",
    "pyarrow": "Convert it: pl.from_arrow(table).",
    "numpy": "Make a frame of it: pl.DataFrame(array, schema=[…]).",
}
"""By the library that a table comes from, how it becomes a Polars frame."""
TABLE = "Keep it first, charkh.add('NAME', frame), or wrap it: charkh.Table(frame)."
MODEL = "Wrap the fitted model: charkh.model(estimator, example=rows, data=data)."


def expect(value: object, attribute: str, verb: str, wanted: str, hint: str) -> None:
    """Refuse a value that lacks what the verb works on, before it fails in a way that says nothing.

    The output of a step that a plan leaves out has every attribute, and goes on.

    Args:
        value: what was given.
        attribute: what it must have.
        verb: of the SDK, such as `add`.
        wanted: what the verb takes, in words.
        hint: what to do.

    Raises:
        Invalid: it lacks that.
    """
    if hasattr(value, attribute):
        return
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    name = kind.__qualname__ if library == "builtins" else f"{library}.{kind.__qualname__}"
    raise Invalid(
        f"charkh.{verb} takes {wanted}, not {name}",
        code="sdk.wrong_type",
        hint=CONVERSIONS.get(library, hint),
    )
