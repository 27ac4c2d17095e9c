"""The tools that write: offered only where whoever starts the server allows it; each is a fact with an author."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from charkh.bridges.mcp.reading import ModelRef, RunRef
from charkh.bridges.mcp.shapes import DoneShape
from charkh.runs.find import find as find_run
from charkh.runs.notes import NOTE_TAG
from charkh.runs.tag import tag
from charkh.workspace.promoting import move_by_hand
from charkh.workspace.workspace import Workspace


class Writing:
    """The tools of one workspace.

    Args:
        workspace: that is written to.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._store = workspace.store

    def tools(self) -> Sequence[Callable[..., Any]]:
        """All of them."""
        return (self.tag_run, self.note_run, self.move_model_alias)

    def tag_run(
        self,
        run: RunRef,
        tags: Annotated[dict[str, str | None], Field(max_length=50, description="Values by name; null removes.")],
    ) -> DoneShape:
        """Set or remove tags of a run."""
        tagged = tag(self._store, run, tags)
        return DoneShape(subject=tagged.subject, done=f"tagged: {', '.join(sorted(tags))}")

    def note_run(self, run: RunRef, text: Annotated[str, Field(max_length=5000)]) -> DoneShape:
        """Write the note of a run, in the place of the one that is there."""
        noted = tag(self._store, find_run(self._store, run).id, {NOTE_TAG: text})
        return DoneShape(subject=noted.subject, done="noted")

    def move_model_alias(
        self,
        model: ModelRef,
        alias: str,
        reason: Annotated[str, Field(min_length=1, description="Why, in a sentence; it stays in the history.")],
        expect: Annotated[
            str | None, Field(description="Id of the version that you believe holds it now; empty for nobody.")
        ] = None,
    ) -> DoneShape:
        """Let a version of a model hold an alias."""
        moved = move_by_hand(self._workspace, model, alias, expect=expect, reason=reason)
        return DoneShape(subject=moved.subject, done=f"{moved.ref} is {moved.made.name}@{alias}")
