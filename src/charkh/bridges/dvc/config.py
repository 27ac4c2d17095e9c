"""DVC's settings: INI files in four levels, and what they say about the cache and the remotes.

Values of a later level win: system, user, `.dvc/config`, `.dvc/config.local`. A remote's url may begin with
`remote://NAME/`, which stands for that remote's own url. Checked against dvc: `dvc/config.py`, `dvc/config_schema.py`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import Invalid, NotFound

_SECTION = re.compile(r"\[\s*(['\"]?)(?P<name>.+?)\1\s*\]\s*(?:#.*)?")
_REMOTE = re.compile(r"remote\s+\"(?P<name>.+)\"")
_LINK = "remote://"

Sections = Mapping[str, Mapping[str, str]]


class DvcRemote(NamedTuple):
    """A remote: its name, its url or absolute path, and its other options."""

    name: str
    url: str
    options: Mapping[str, str]


def parse_config(text: str, where: str) -> dict[str, dict[str, str]]:
    """The sections of one file, each with its options.

    Raises:
        Invalid: a line is neither a section nor an option of one.
    """
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        section = _SECTION.fullmatch(line)
        if section is not None:
            current = sections.setdefault(section["name"], {})
            continue
        key, equals, value = line.partition("=")
        if not equals or current is None:
            raise Invalid(
                f"line {number} of {where} is no setting: {line[:80]!r}",
                code="dvc.bad_config",
                hint="`dvc config --list` shows what DVC makes of it.",
            )
        current[key.strip().lower()] = _unquoted(value.strip())
    return sections


def read_config(dvc_folder: Path) -> dict[str, dict[str, str]]:
    """What the four levels say together, relative paths made absolute."""
    merged: dict[str, dict[str, str]] = {}
    for path in config_files(dvc_folder):
        if not path.is_file():
            continue
        for name, options in parse_config(path.read_text(encoding="utf-8"), str(path)).items():
            into = merged.setdefault(name, {})
            for key, value in options.items():
                into[key] = _absolute(value, path.parent) if _is_path(name, key, value) else value
    return merged


def config_files(dvc_folder: Path) -> tuple[Path, ...]:
    """The files of the four levels, the weakest first."""
    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or "/etc/xdg/dvc"
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or str(home / "dvc")
    return (Path(system) / "config", Path(user) / "config", dvc_folder / "config", dvc_folder / "config.local")


def cache_folder(config: Sections, dvc_folder: Path) -> Path:
    """Where the local cache lies."""
    return Path(config.get("cache", {}).get("dir") or dvc_folder / "cache")


def remotes(config: Sections) -> dict[str, DvcRemote]:
    """The remotes by name, `remote://` followed."""
    found: dict[str, DvcRemote] = {}
    for section, options in config.items():
        named = _REMOTE.fullmatch(section)
        if named is not None:
            others = {key: value for key, value in options.items() if key != "url"}
            found[named["name"]] = DvcRemote(named["name"], options.get("url", ""), others)
    return {name: _followed(remote, found, (name,)) for name, remote in found.items()}


def which_remote(config: Sections, name: str = "") -> DvcRemote:
    """The remote of this name; without one, the default.

    Raises:
        NotFound: there is none.
    """
    known = remotes(config)
    wanted = name or config.get("core", {}).get("remote", "")
    if not wanted:
        raise NotFound(
            "no default remote is set in this DVC repository",
            code="dvc.no_remote",
            hint=f"Name one of {', '.join(known)} with --remote."
            if known
            else "Add one with: dvc remote add -d NAME URL",
        )
    if wanted not in known:
        raise NotFound(
            f"this DVC repository has no remote {wanted!r}",
            code="dvc.no_remote",
            hint=f"It has: {', '.join(known) or 'none'}.",
        )
    return known[wanted]


def _followed(remote: DvcRemote, known: Mapping[str, DvcRemote], seen: Sequence[str]) -> DvcRemote:
    if not remote.url.startswith(_LINK):
        return remote
    name, _, path = remote.url.removeprefix(_LINK).partition("/")
    if name not in known or name in seen:
        raise Invalid(
            f"the remote {remote.name!r} leads to {name!r}, which is {'itself' if name in seen else 'no remote'}",
            code="dvc.bad_config",
            hint="Look at its url in .dvc/config.",
        )
    base = _followed(known[name], known, (*seen, name))
    url = f"{base.url.rstrip('/')}/{path}" if path else base.url
    return DvcRemote(remote.name, url, {**base.options, **remote.options})


def _is_path(section: str, key: str, value: str) -> bool:
    if section == "cache":
        return key == "dir"
    return key == "url" and "://" not in value and _REMOTE.fullmatch(section) is not None


def _absolute(value: str, folder: Path) -> str:
    return os.path.normpath(folder / Path(value).expanduser())


def _unquoted(value: str) -> str:
    if value[:1] in {"'", '"'} and (end := value.find(value[0], 1)) > 0:
        return value[1:end]
    return re.split(r"\s+#", value, maxsplit=1)[0].strip()
