"""What a runtime says to files that could run code or cannot be read, and to rows that do not fit."""

from collections.abc import Mapping, Sequence

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.ports.runtimes import Safety
from charkh.runtimes.pickles import pickle_reasons

ONLY_FILE = "it is not a file of this format"


def denied(reasons: Sequence[str]) -> Denied:
    """What somebody is told who wanted to load them."""
    return Denied(
        f"loading this model could run code: {'; '.join(reasons)}",
        code="model.code",
        hint="Where you trust the file, load it yourself with its framework and register what it gave, so that charkh "
        "saves it in a safe format; or export it to ONNX.",
        facts={"reasons": list(reasons)},
    )


def verdict(found: Mapping[str, Sequence[str]]) -> Safety:
    """`inert` where nothing speaks against any file; else `code` with the reasons by file name."""
    if not found:
        return Safety(level="code", reasons=("there is no file to judge",))
    reasons = tuple(f"{name}: {reason}" for name, each in found.items() for reason in each)
    return Safety(level="code", reasons=reasons) if reasons else Safety(level="inert")


def foreign_reasons(data: bytes, format_name: str, why: str) -> tuple[str, ...]:
    """Why a file that is not of a format counts as code: it is a pickle, or nobody knows what it is."""
    pickled = pickle_reasons(data)
    return pickled or (f"it is no whole {format_name} file ({why}), and what is unknown counts as code",)


def not_rebuilt(what: str) -> Unavailable:
    """What somebody is told whose installed framework cannot read a model that another version wrote."""
    return Unavailable(
        what,
        code="model.not_rebuilt",
        hint="Install the version that is recorded with the model version, or train it again.",
    )


def input_refused(why: str) -> Invalid:
    """What somebody is told whose rows fit the signature, but not the model."""
    return Invalid(
        f"the model refuses these rows: {why}",
        code="model.input_refused",
        hint="Compare them with the model's signature and input example.",
    )
