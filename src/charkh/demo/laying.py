"""The demo's own files, laid out as a project of a user: settings, scripts, recipes, checks, a card, in Git."""

import shutil
import subprocess
from pathlib import Path

from charkh.core.errors import Conflict
from charkh.demo.asking import LEFT

MARK = ".charkh-demo"
"""A folder with this file was made by the demo, and is made anew by the next."""


def lay_out(folder: Path) -> None:
    """Put the demo's files into a folder, as a user would have them in a project.

    Raises:
        Conflict: the folder holds something else.
    """
    here = Path(__file__).parent
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise Conflict(
                f"{folder} has something in it that is not the demo's",
                code="demo.folder_taken",
                hint="Name an empty folder with --folder, or one that an earlier demo made.",
            )
        shutil.rmtree(folder)
    places = {
        "charkh.toml": "charkh.toml",
        "flights.py": "flights.py",
        "seeds.py": "seeds.py",
        "leak.py": "leak.py",
        "runbook.md": "runbooks/delay.md",
        "flights.json": "recipes/flights.json",
        "features.json": "recipes/features.json",
        "flights.toml": "checks/flights.toml",
        "delay.md": "cards/delay.md",
    }
    for name, place in places.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here / name, target)
    (folder / MARK).touch()
    _commit(folder)


def _commit(folder: Path) -> None:
    """Make the folder a Git repository, where there is a git, so that every run names the code that it ran."""
    git = shutil.which("git")
    if git is None:
        return
    (folder / ".gitignore").write_text(
        f".charkh/\nincoming/\nshared/\ncolleague/\n{LEFT}/\nsigning.*\nserve.log\nreport.html\n__pycache__/\n",
        encoding="utf-8",
    )
    who = ["-c", "user.name=The flights year", "-c", "user.email=demo@charkh.invalid", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "-m", "The flights year"]):
        subprocess.run([git, "-C", str(folder), *arguments], check=True, capture_output=True)
