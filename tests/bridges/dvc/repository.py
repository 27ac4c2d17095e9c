"""A real DVC repository for tests: `Repository(folder)("add", "data.csv")` runs the real `dvc` in it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.peers import peer_program


class Repository:
    """A Git and DVC repository with a remote in a folder beside it.

    Attributes:
        root: the repository.
        remote: the folder of the DVC remote.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.remote = folder / "repo", folder / "remote"

    @classmethod
    def make(cls, folder: Path) -> "Repository":
        """A new one, made by the real Git and DVC."""
        made = cls(folder)
        made.root.mkdir()
        made.git("init", "-q")
        made("init", "-q")
        made.configure()
        made.git("add", "-A")
        made.git("commit", "-qm", "Begin")
        return made

    def copy(self, folder: Path) -> "Repository":
        """The same at another place: making one takes the real DVC seconds."""
        shutil.copytree(self.root, folder / "repo", symlinks=True)
        if self.remote.exists():
            shutil.copytree(self.remote, folder / "remote")
        copied = Repository(folder)
        copied.configure()
        return copied

    def configure(self, url: str = "", *options: str) -> None:
        """Write the settings: a remote called `store`, and DVC's own caches beside the repository."""
        more = "".join(f"    {option}\n" for option in options)
        (self.root / ".dvc/config.local").write_text(
            f"[core]\n    analytics = false\n    remote = store\n    site_cache_dir = {self.root.parent / 'site'}\n"
            f"['remote \"store\"']\n    url = {url or self.remote}\n{more}"
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A finished `dvc`, whatever it came to."""
        return subprocess.run(
            [str(peer_program("dvc", "dvc")), *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            timeout=120,
        )

    def __call__(self, *arguments: str) -> str:
        """What `dvc` printed; it must have succeeded."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        """What `git` printed; it must have succeeded."""
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the repository."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")
