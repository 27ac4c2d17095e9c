"""Import a folder of event files: one run a folder; what is here already is not read again."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from charkh.bridges.tensorboard.folder import FolderReport
from charkh.bridges.tensorboard.follow import IDLE_SECONDS, Follower
from charkh.workspace.workspace import Workspace


class TensorBoardReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import brought.

    Attributes:
        runs: the folders that had news or trouble.
        there: folders with event files that had nothing new.
        points: metric points that were taken.
        media: other items that were taken.
    """

    runs: tuple[FolderReport, ...]
    there: int
    points: int
    media: int

    @property
    def troubled(self) -> int:
        """How many places could not be read."""
        return sum(len(each.trouble) for each in self.runs)


def import_logdir(
    workspace: Workspace, logdir: Path, *, project: str = "", progress: Callable[[int], None] | None = None
) -> TensorBoardReport:
    """Take what the event files below `logdir` have and the store has not.

    A second import adds nothing; of a file that has grown it adds what is new. The runs are over afterwards.

    Args:
        workspace: where the runs are recorded.
        logdir: what TensorBoard would be given.
        project: name of the project of runs that are new.
        progress: called with the bytes of event files that were read since the last call.

    Raises:
        NotFound: there is no such folder.
        Invalid: it is a file.
        Unavailable: the store cannot be written; a second import goes on.
    """
    follower = follower_of(workspace, logdir, project=project, live=False)
    try:
        runs = follower.round(progress)
    finally:
        follower.close()
    return TensorBoardReport(
        runs=tuple(runs),
        there=follower.folders - len(runs),
        points=sum(each.points for each in runs),
        media=sum(each.media for each in runs),
    )


def follower_of(
    workspace: Workspace, logdir: Path, *, project: str = "", live: bool = True, idle: float = IDLE_SECONDS
) -> Follower:
    """What follows a folder into a workspace.

    Raises:
        NotFound: there is no such folder.
        Invalid: it is a file.
    """
    cache = workspace.store_folder / "cache"
    return Follower(workspace.store, cache, logdir, project=project, live=live, idle=idle)
