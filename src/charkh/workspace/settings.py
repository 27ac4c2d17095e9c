"""Where settings come from: `charkh.toml` or `[tool.charkh]`, then `CHARKH_*`; flags are the surfaces' own."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from charkh.core.config import Settings, parse_settings
from charkh.core.errors import Invalid, NotFound

FILE = "charkh.toml"
PYPROJECT = "pyproject.toml"
STORE_FOLDER = ".charkh"

ENVIRONMENT = {
    "CHARKH_STORE": ("store", "path"),
    "CHARKH_STORE_JOURNAL": ("store", "journal"),
    "CHARKH_STORE_BLOBS": ("store", "blobs"),
    "CHARKH_STORE_WAIT": ("store", "wait"),
    "CHARKH_SERVER_HOST": ("server", "host"),
    "CHARKH_SERVER_PORT": ("server", "port"),
}
"""Variables that stand above the file, and the key that each sets."""


def find_workspace(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that is a workspace; None where there is none."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file() or (folder / STORE_FOLDER).is_dir():
            return folder
        if "charkh" in _tool_table(folder / PYPROJECT):
            return folder
    return None


def read_settings(folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a workspace.

    Args:
        folder: of the workspace; it may hold no file at all.
        environment: variables that stand above the file.

    Raises:
        Invalid: a file cannot be parsed, or says what settings cannot be; both files say something.
    """
    own, project = folder / FILE, folder / PYPROJECT
    document: dict[str, Any] = {}
    source = FILE
    table = _tool_table(project).get("charkh")
    if own.is_file():
        document = _read_toml(own)
        if table is not None:
            raise Invalid(
                f"both {FILE} and [tool.charkh] of {PYPROJECT} have settings",
                code="config.twice",
                hint=f"Move everything into {FILE}.",
            )
    elif table is not None:
        document, source = cast(dict[str, Any], table), f"{PYPROJECT} [tool.charkh]"
    return _with_environment(parse_settings(document, source), environment)


def require_workspace(start: Path) -> Path:
    """The workspace that `start` lies in.

    Raises:
        NotFound: there is none.
    """
    folder = find_workspace(start)
    if folder is None:
        raise NotFound(
            f"there is no charkh workspace in {start} or above it",
            code="workspace.not_found",
            hint="Make one here with `charkh init`, or name one with -C FOLDER.",
        )
    return folder


def _with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    for variable, (table, key) in ENVIRONMENT.items():
        text = environment.get(variable)
        if not text:
            continue
        part = getattr(settings, table)
        value: object = text
        if isinstance(getattr(part, key), int):
            if not text.isdecimal():
                raise Invalid(f"{variable} is {text!r}, not a number", code="config.invalid", hint="Give a number.")
            value = int(text)
        settings = msgspec.structs.replace(settings, **{table: msgspec.structs.replace(part, **{key: value})})
    return settings


def _tool_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return cast(dict[str, Any], _read_toml(path).get("tool", {}))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{path} cannot be read: {error}", code="config.not_toml", hint="Mend that place and run the command again."
        ) from error
