"""Working trees of the real Git, Mercurial and Subversion, driven alike."""

import subprocess
from pathlib import Path

import pytest

SYSTEMS = [
    pytest.param("git"),
    pytest.param("hg", marks=pytest.mark.needs("mercurial")),
    pytest.param("svn", marks=pytest.mark.needs("subversion")),
]
USER = "Ann Example <ann@example.org>"


class WorkingTree:
    """A working tree without a commit; with `create` false, one that is there already.

    Attributes:
        folder: its root.
        system: `git`, `hg` or `svn`.
    """

    def __init__(self, system: str, folder: Path, *, create: bool = True) -> None:
        self.system = system
        self.folder = folder
        if not create:
            return
        folder.mkdir()
        if system == "svn":
            repository = folder.with_name("repository")
            subprocess.run(["svnadmin", "create", str(repository)], check=True)
            self("svn", "mkdir", "-q", "-m", "branches", f"file://{repository}/trunk", f"file://{repository}/other")
            self("svn", "checkout", "-q", f"file://{repository}/trunk", ".")
        elif system == "hg":
            self("hg", "init")
        else:
            self("git", "init", "-q")

    def __call__(self, *command: str) -> str:
        """What a program printed in the tree; it must have succeeded."""
        result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}: {result.stdout}\n{result.stderr}"
        return result.stdout.strip()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, *names: str) -> None:
        """Commit these files as they are."""
        if self.system == "git":
            self("git", "add", *names)
            self("git", "commit", "-qm", "more")
        elif self.system == "hg":
            self("hg", "add", "-q", *names)
            self("hg", "commit", "-qm", "more", "-u", USER)
        else:
            self("svn", "add", "-q", "--force", "--parents", *names)
            self("svn", "commit", "-qm", "more")

    def revision(self) -> str:
        """The commit, as the system itself says."""
        if self.system == "git":
            return self("git", "rev-parse", "HEAD")
        if self.system == "hg":
            return self("hg", "log", "-r", ".", "-T", "{node}")
        return self("svnversion", "-n").rstrip("MS").rpartition(":")[2]
