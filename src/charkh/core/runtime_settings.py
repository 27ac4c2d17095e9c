"""What `[runtime.NAME]` says: whose environment loads trusted models, or which class of the workspace a runtime is."""

import re

import msgspec

from charkh.core.errors import Invalid

FOREIGN = "mlflow"
"""The runtime of charkh's own that takes an interpreter."""

INSTALLED_BY = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "onnx": "'charkh[onnx]'",
    "torch": "torch",
    "sklearn": "'charkh[sklearn]'",
    "pickle": "'charkh[sklearn]'",
    FOREIGN: "'charkh[mlflow]'",
}
"""What `pip install` is told for each runtime of charkh's own."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_CLASS = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class RuntimeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[runtime.NAME]`: how models of one runtime are loaded: `mlflow`, or one of the workspace's own.

    Attributes:
        python: `mlflow` alone: an interpreter, relative to the workspace, whose environment loads models whose code is
            trusted, such as `.venv-mlflow/bin/python`; that of charkh by default.
        class_: `package.module:Class` of the workspace's own code, found from its folder: a model class with `predict`,
            `save` and `load`, or a whole runtime.
    """

    python: str = ""
    class_: str = msgspec.field(default="", name="class")


def check_runtime(name: str, runtime: RuntimeSettings, source: str) -> None:
    """Refuse a table that says what its runtime does not take.

    Raises:
        Invalid: it does.
    """
    where = f"{source}: [runtime.{name}]"
    if name in INSTALLED_BY:
        if runtime.class_ or (runtime.python and name != FOREIGN):
            raise Invalid(
                f"{where}: {name} is charkh's own runtime and takes {'python' if name == FOREIGN else 'no settings'}",
                code="config.invalid",
                hint="Give a runtime of your own another name.",
            )
        return
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{where}: {name!r} is no name of a runtime",
            code="config.invalid",
            hint="Lower-case letters, digits, _ and -, beginning with a letter.",
        )
    if not _CLASS.fullmatch(runtime.class_) or runtime.python:
        raise Invalid(
            f"{where}: a runtime of your own has a class and nothing else",
            code="config.invalid",
            hint='Name it by its import path: class = "package.module:Class".',
        )


def how_to_have(name: str) -> str:
    """What somebody does who needs a runtime that is not here."""
    if name in INSTALLED_BY:
        return f"Install what it needs: `pip install {INSTALLED_BY[name]}`."
    return f'It is a class of the workspace that registered it: [runtime.{name}] class = "package.module:Class".'
