"""The small YAML files of an MLflow file store, read as data and nothing else."""

import math
from pathlib import Path
from typing import Any, cast

from charkh.core.errors import Corrupt, Unavailable

MAX_BYTES = 4 * 1024 * 1024


def read_yaml(path: Path) -> dict[str, Any]:
    """The fields of a file.

    Raises:
        Corrupt: it is cut, no map, or longer than any that MLflow writes.
        Unavailable: the parser is not installed.
    """
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        raise Unavailable(
            "an MLflow file store is YAML, and no parser of it is installed",
            code="mlflow.no_yaml",
            hint="pip install 'charkh[mlflow]'",
        ) from error
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(path, "it is too long")
        parser = YAML(typ="safe", pure=True)
        # MLflow writes YAML 1.1, in which other plain words are numbers than in 1.2.
        parser.version = (1, 1)  # pyright: ignore[reportAttributeAccessIssue]
        found: Any = parser.load(path.read_bytes())
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, OSError) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(found, dict):
        raise _damaged(path, "it has no fields")
    return cast(dict[str, Any], found)


def text_of(fields: dict[str, Any], name: str) -> str:
    """A field as text; empty where it is missing or null."""
    value = fields.get(name)
    return "" if value is None else str(value)


def moment_of(value: object) -> float:
    """Milliseconds as seconds since the epoch; 0 where there are none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return value / 1000
    return 0.0


def _damaged(path: Path, why: str) -> Corrupt:
    return Corrupt(
        f"{path} is damaged: {why[:200]}",
        code="mlflow.damaged_file",
        hint="What it describes is left out; mend or remove the file, and import again.",
    )
