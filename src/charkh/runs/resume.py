"""Take a run up again, after a preemption or a crash: where its curves go on."""

from collections.abc import Mapping

import msgspec

from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.history import metric_names
from charkh.runs.index import RunsByIds
from charkh.runs.media import count_media
from charkh.runs.membership import shared_id
from charkh.runs.notes import read_note
from charkh.runs.run import Run


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes on.

    Attributes:
        run: its id.
        steps: by context and metric, the step that the next value without one has.
        shown: the same for the keys of media.
        note: what was noted so far.
    """

    run: str
    steps: Mapping[str, Mapping[str, int]] = {}
    shown: Mapping[str, int] = {}
    note: str = ""


def resumed(store: Store, ref: str) -> Resumed:
    """The run that `ref` means, to go on where it stopped.

    Raises:
        NotFound: there is no such run, or it was deleted.
        Conflict: `ref` means several.
    """
    return _resumed(store, find(store, ref))


def resumed_if_there(store: Store, named: str) -> Resumed | None:
    """The run that a launcher's word or an id means, if it was begun before; None where it is new.

    Raises:
        NotFound: it was deleted.
    """
    identifier = shared_id(named)
    found = store.queries.ask(RunsByIds(runs=(identifier,), now=0.0))
    if not found:
        return None
    if found[0].deleted is not None:
        raise NotFound(
            f"run {identifier} was deleted",
            code="run.deleted",
            hint="Restore it, or choose another id.",
        )
    return _resumed(store, found[0])


def is_id(text: str) -> bool:
    """Whether a text is the whole id of a run."""
    return ID_PATTERN.fullmatch(text.removeprefix("run:")) is not None


def _resumed(store: Store, run: Run) -> Resumed:
    steps: dict[str, dict[str, int]] = {}
    for each in metric_names(store, run.id):
        known = steps.setdefault(each.context, {})
        known[each.key] = max(known.get(each.key, 0), each.last_step + 1)
    shown: dict[str, int] = {}
    for item in count_media(store, run.id):
        shown[item.key] = max(shown.get(item.key, 0), item.last_step + 1)
    return Resumed(run=run.id, steps=steps, shown=shown, note=read_note(store, run))
