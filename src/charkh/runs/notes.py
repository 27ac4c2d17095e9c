"""The note of a run: Markdown for people, in the one tag that MLflow's clients and pages read and write too."""

from charkh.ports.store import Store
from charkh.runs.run import Run

NOTE_TAG = "mlflow.note.content"


def with_remark(note: str, text: str) -> str:
    """A note that goes on with `text` as a paragraph of its own."""
    return f"{note}\n\n{text}" if note else text


def read_note(store: Store, run: Run) -> str:
    """All of a run's note; empty where nobody wrote one."""
    long = run.large_tags.get(NOTE_TAG)
    if long is None:
        return run.tags.get(NOTE_TAG, "")
    return b"".join(store.vault.read(long)).decode("utf-8", "replace")
