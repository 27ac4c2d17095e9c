"""Hooks of version control: a lock is proved before code is pushed, and pinned data follows the code.

What is written is a marked block in a hook of Git, or in the settings of a clone of Mercurial; everything around it
belongs to others and stays. Subversion has no hooks on this side: `charkh lock checkout` after `svn update` does it.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.runs.version_control import ask, text_of
from charkh.runs.working_tree import find_system
from charkh.workspace.workspace import Workspace

BEGIN = "# >>> charkh >>> written by `charkh hooks install`; `charkh hooks remove` takes it out"
END = "# <<< charkh <<<"
PROVE = "prove"
FOLLOW = "follow"

GIT_HOOKS = {PROVE: ("pre-push",), FOLLOW: ("post-checkout", "post-merge")}
HG_HOOKS = {PROVE: ("pre-push.charkh",), FOLLOW: ("update.charkh",)}
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that charkh can be in.

    Attributes:
        name: as the version control system calls it.
        does: `prove` the lock, or let data `follow` the code.
        installed: charkh is in it.
        file: where it is, or would be.
    """

    name: str
    does: str
    installed: bool
    file: str


class _Place(NamedTuple):
    """Where hooks are written: the system, the root of the working tree, and the file of each hook."""

    system: str
    root: Path
    files: dict[str, tuple[str, Path]]


def install(workspace: Workspace, *, follow: bool = False) -> tuple[Hook, ...]:
    """Put charkh into the hooks; what is there already is written anew, so that a second call changes nothing.

    Args:
        workspace: whose lock is proved and followed.
        follow: also check pinned data out when the code changes; without it, such hooks are taken out.

    Raises:
        NotFound: the workspace lies under no version control.
        Invalid: its system has no hooks on this side.
        Conflict: a hook is there that is no shell script; nothing was changed.
        OSError: a file cannot be written.
    """
    place = _place(workspace.folder)
    wanted = {name for name, (does, _) in place.files.items() if does == PROVE or follow}
    texts = {path: _read(path) for _, path in place.files.values()}
    for name in wanted:
        _refuse_foreign(place, name, texts[place.files[name][1]])
    for path in dict.fromkeys(path for _, path in place.files.values()):
        names = [name for name, (_, each) in place.files.items() if each == path and name in wanted]
        _write(place, path, _with_block(place, without_block(texts[path]), workspace, names))
    return hooks(workspace)


def remove(workspace: Workspace) -> tuple[Hook, ...]:
    """Take charkh out of the hooks; a hook that held nothing else goes.

    Raises:
        NotFound: the workspace lies under no version control.
        Invalid: its system has no hooks on this side.
        OSError: a file cannot be written.
    """
    place = _place(workspace.folder)
    for path in dict.fromkeys(path for _, path in place.files.values()):
        text = _read(path)
        if BEGIN in text:
            _write(place, path, without_block(text))
    return hooks(workspace)


def hooks(workspace: Workspace) -> tuple[Hook, ...]:
    """The hooks that charkh can be in, and whether it is.

    Raises:
        NotFound: the workspace lies under no version control.
        Invalid: its system has no hooks on this side.
    """
    place = _place(workspace.folder)
    return tuple(
        Hook(name=name, does=does, installed=_is_in(place, name, _read(path)), file=str(path))
        for name, (does, path) in place.files.items()
    )


def without_block(text: str) -> str:
    """A hook's text without what charkh wrote into it."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    return before + after if begin and end else text


def _place(folder: Path) -> _Place:
    found = find_system(folder)
    if found is None:
        raise NotFound(
            f"{folder} lies under no version control",
            code="hooks.no_version_control",
            hint="Put it under Git or Mercurial first; without, run `charkh lock checkout` by hand.",
        )
    system, root = found
    if system.name == "git":
        at = text_of(ask("git", "rev-parse", "--path-format=absolute", "--git-path", "hooks", folder=root))
        if not at:
            raise NotFound(
                f"git says no folder for hooks in {root}", code="hooks.no_version_control", hint="git status"
            )
        return _Place("git", root, {name: (does, Path(at, name)) for does, all_ in GIT_HOOKS.items() for name in all_})
    if system.name == "hg":
        path = root / ".hg" / "hgrc"
        return _Place("hg", root, {name: (does, path) for does, all_ in HG_HOOKS.items() for name in all_})
    raise Invalid(
        f"{system.title} has no hooks in a working copy",
        code="hooks.none_here",
        hint="Run `charkh lock checkout` after `svn update`; docs/guides/version-control.md has a hook for the server.",
    )


def _with_block(place: _Place, text: str, workspace: Workspace, names: Sequence[str]) -> str:
    if not names:
        return text
    lines = "".join(f"{_line(place, name, workspace)}\n" for name in names)
    if place.system == "hg":
        start = text if not text or text.endswith("\n") else f"{text}\n"
        return f"{start}{BEGIN}\n[hooks]\n{lines}{END}\n"
    # Behind the first line and before the rest, which may end the script or replace it by another program.
    first, _, rest = (text or "#!/bin/sh\n").partition("\n")
    return f"{first}\n{BEGIN}\n{lines}{END}\n{rest}"


def _line(place: _Place, name: str, workspace: Workspace) -> str:
    inside = os.path.relpath(workspace.folder.resolve(), place.root.resolve())
    does = place.files[name][0]
    command = shlex.join([sys.executable, "-m", "charkh", "-C", inside, "hooks", "run", does])
    # Git tells a hook what it pushes on standard input, which belongs to whatever else the hook does.
    tail = " </dev/null || exit $?" if place.system == "git" else " </dev/null"
    return f"{_line_begin(place, name)}{command}{tail}"


def _line_begin(place: _Place, name: str) -> str:
    if place.system == "hg":
        return f"{name} = "
    # A checkout of single files says 0 in its third argument: the code is still the same.
    return '[ "$3" = 0 ] || ' if name == "post-checkout" else ""


def _refuse_foreign(place: _Place, name: str, text: str) -> None:
    first = text.partition("\n")[0]
    is_shell = first.startswith("#!") and first.rsplit("/", 1)[-1].split(" ")[-1] in _SHELLS
    if place.system == "git" and text and not is_shell:
        raise Conflict(
            f"the hook {name} is no shell script, so nothing can be added to it",
            code="hooks.foreign",
            hint=f"Call `charkh hooks run {place.files[name][0]}` from it.",
            facts={"file": str(place.files[name][1])},
        )


def _is_in(place: _Place, name: str, text: str) -> bool:
    lines = _block(text).splitlines()
    return any(line.startswith(f"{name} = ") for line in lines) if place.system == "hg" else bool(lines)


def _block(text: str) -> str:
    return text.partition(f"{BEGIN}\n")[2].partition(END)[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(place: _Place, path: Path, text: str) -> None:
    if not text.strip() or (place.system == "git" and text.strip() == "#!/bin/sh"):
        path.unlink(missing_ok=True)
        return
    if text == _read(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    if place.system == "git":
        path.chmod(path.stat().st_mode | 0o111)
