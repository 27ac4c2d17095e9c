"""Subversion: revision, branch, address, and everything that differs from the revision.

A working copy is often at several revisions at once: every commit makes it so. The commit is then the newest of them,
and the patch is taken against that one, so that both together are the files that there were.
"""

import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from charkh.core.errors import Conflict, NotFound
from charkh.core.redact import redact
from charkh.runs.patch import added_lines, patch_of
from charkh.runs.run import MAX_TEXT
from charkh.runs.version_control import Answer, CodeState, Revision, ask, inside, is_store, unusable, work

_LOCALE = {"LC_ALL": "C.UTF-8"}
"""Subversion writes no name that the locale cannot say."""
_REVISIONS = re.compile(r"(?:(\d+):)?(\d+)([MSP]*)")
_CLEAN = frozenset({"normal", "none", "external", "ignored"})
_RULE = b"=" * 67


class Subversion:
    """The installed `svn`; see `charkh.runs.version_control.VersionControl`."""

    name = "svn"
    title = "Subversion"
    marker = ".svn"

    def read(self, folder: Path) -> CodeState:
        """A working copy that needs an upgrade, or is locked by another process, says nothing of itself."""
        entry = _entry(_svn(folder, "info", "--xml"))
        top = entry.findtext("wc-info/wcroot-abspath") if entry is not None else None
        if entry is None or not top:
            return CodeState(system=self.name)
        root = Path(top)
        at_root = _entry(_svn(root, "info", "--xml"))
        entry = at_root if at_root is not None else entry
        oldest, newest, flags = _revisions(root)
        status = _svn(root, "status", "--xml")
        states = _states(status.output) if status.code == 0 else {}
        changed = {path for path, state in states.items() if state not in _CLEAN and not is_store(path)}
        # At several revisions, files are older than the commit that is named; that is a difference, too.
        mixed = bool(oldest) or "S" in flags
        state = CodeState(
            system=self.name,
            commit=newest if newest != "0" else "",
            branch=(entry.findtext("relative-url") or "").removeprefix("^/")[:MAX_TEXT],
            remote=redact(entry.findtext("url") or "")[:MAX_TEXT],
            dirty=bool(changed) if status.code == 0 else None,
            root=str(root),
            folder=inside(folder, root),
        )
        return _with_differences(state, root, states, mixed=mixed) if changed or mixed else state

    def check_out(self, root: Path, revision: Revision, folder: Path) -> None:
        """The address of the working copy at `root` is asked, because a working copy has no history of its own."""
        entry = _entry(_svn(root, "info", "--xml"))
        address = entry.findtext("url") if entry is not None else None
        if not address:
            raise unusable(Answer(None, b"", "it is no working copy"), "svn", root)
        # Pinned with @, so that a branch that was moved since is found where it was.
        answer = work(
            *("svn", "checkout", "-q", "--non-interactive", "--ignore-externals"),
            *("-r", revision.commit, f"{address}@{revision.commit}", str(folder)),
            folder=root,
            more=_LOCALE,
        )
        if answer.code is not None and re.search(r"E160006|E160013|E170000|E205000", answer.errors):
            raise NotFound(
                f"{redact(address)} has no revision {revision.commit}",
                code="replay.commit_missing",
                hint="Name a working copy of the repository that the run was made in with --repository.",
                facts={"commit": revision.commit, "remote": revision.remote},
            )
        if answer.code != 0:
            raise unusable(answer, "svn", folder)

    def apply(self, folder: Path, patch: bytes) -> None:
        """`svn patch` goes on behind what does not fit, and says so; that is refused."""
        with tempfile.NamedTemporaryFile(suffix=".patch") as file:
            file.write(patch)
            file.flush()
            answer = work("svn", "patch", "--non-interactive", file.name, folder=folder, more=_LOCALE)
        if answer.code is None:
            raise unusable(answer, "svn", folder)
        printed = answer.output.decode("utf-8", "replace")
        if answer.code != 0 or re.search(r"^(?:C |Skipped|>\s+rejected)", printed, re.M):
            told = answer.errors or printed.strip()
            raise Conflict(f"the recorded changes do not fit: {told}", code="replay.patch", hint="")


def _with_differences(state: CodeState, root: Path, states: dict[str, str], *, mixed: bool) -> CodeState:
    against = ("-r", state.commit) if mixed and state.commit else ()
    changed = _svn(root, "diff", "--internal-diff", "--ignore-properties", *against)
    exact = changed.code == 0
    if not exact and against:
        # The server is asked for other revisions than those at hand; without it, the patch is of those at hand.
        changed = _svn(root, "diff", "--internal-diff", "--ignore-properties")
    names = [path for path, known in states.items() if known == "unversioned" and not is_store(path)]
    files = [name for each in names for name in _files_below(root, each)]
    patch = patch_of(root, changed.output if changed.code == 0 else None, files, _as_patch)
    return CodeState(
        system=state.system,
        commit=state.commit,
        branch=state.branch,
        remote=state.remote,
        dirty=bool(patch.content) or state.dirty,
        root=state.root,
        folder=state.folder,
        patch=patch.content,
        patch_cut=patch.cut or not exact,
    )


def _as_patch(name: bytes, content: bytes) -> bytes:
    head = b"Index: %s\n%s\n" % (name, _RULE)
    if not content:
        return head + b"diff --git a/%s b/%s\nnew file mode 100644\n" % (name, name)
    named = b"--- %s\t(nonexistent)\n+++ %s\t(working copy)\n" % (name, name)
    return head + named + added_lines(content)


def _files_below(root: Path, name: str) -> list[str]:
    """The files of an unversioned folder, which Subversion names alone; no link is followed."""
    path = root / name
    if path.is_symlink() or not path.is_dir():
        return [name]
    return sorted(
        each.relative_to(root).as_posix()
        for each in path.rglob("*")
        if each.is_file() and not {".charkh", ".git", ".hg", ".svn"} & {*each.relative_to(root).parts}
    )


def _revisions(root: Path) -> tuple[str, str, str]:
    """The oldest where there are several, the newest, and the flags of `svnversion`."""
    answer = ask("svnversion", "-n", folder=root, more=_LOCALE)
    match = _REVISIONS.match(answer.output.decode("utf-8", "replace")) if answer.code == 0 else None
    return (match[1] or "", match[2], match[3]) if match else ("", "", "")


def _states(output: bytes) -> dict[str, str]:
    """By path, how it differs; of a file whose properties alone changed, that they did."""
    found: dict[str, str] = {}
    for entry in ElementTree.fromstring(output).iter("entry"):  # noqa: S314 - our own child wrote it
        status = entry.find("wc-status")
        if status is not None:
            item, props = status.get("item", ""), status.get("props", "none")
            found[entry.get("path", "")] = item if item != "normal" or props in _CLEAN else props
    return found


def _entry(answer: Answer) -> ElementTree.Element | None:
    if answer.code != 0:
        return None
    try:
        return ElementTree.fromstring(answer.output).find("entry")  # noqa: S314 - our own child wrote it
    except ElementTree.ParseError:
        return None


def _svn(folder: Path, *arguments: str) -> Answer:
    return ask("svn", *arguments, "--non-interactive", folder=folder, more=_LOCALE)
