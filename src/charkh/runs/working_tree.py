"""Which version control system a folder lies in, and what that one says."""

import os
from pathlib import Path

from charkh.runs.git import Git
from charkh.runs.mercurial import Mercurial
from charkh.runs.subversion import Subversion
from charkh.runs.version_control import CodeState, VersionControl

SYSTEMS: tuple[VersionControl, ...] = (Git(), Mercurial(), Subversion())
"""Of two that have the same root, the first counts."""


def find_system(folder: Path) -> tuple[VersionControl, Path] | None:
    """The nearest root of a working tree from `folder` upwards, and its system; None where there is none."""
    here = folder.resolve()
    for each in (here, *here.parents):
        for system in SYSTEMS:
            if os.path.lexists(each / system.marker):
                return system, each
    return None


def system_named(name: str) -> VersionControl | None:
    """The system of this name, as events say it."""
    return next((system for system in SYSTEMS if system.name == name), None)


def read_code(folder: Path) -> CodeState | None:
    """The state of the working tree that `folder` lies in; None where it lies in none."""
    found = find_system(folder)
    return found[0].read(folder) if found else None
