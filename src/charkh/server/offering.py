"""Which of the workspace's endpoints answer under `charkh up`: those whose model is there."""

import logging
from typing import TYPE_CHECKING

from charkh.core.errors import CharkhError
from charkh.endpoints.memory import Memory
from charkh.endpoints.offer import Offer
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.workspace.serving import Serving

_log = logging.getLogger("charkh.server")


class Offering:
    """What is to be served now, endpoint by endpoint.

    An endpoint whose model is not registered yet, or cannot be loaded, keeps neither the server nor its neighbours
    from answering: it is named in the log once, and offered as soon as it can be. One that failed after it
    had answered goes on with what it served.

    Args:
        workspace: whose endpoints.
        resumes: another process served them until now: see `charkh.workspace.keeping.Keeping`.
    """

    def __init__(self, workspace: Workspace, *, resumes: bool = False) -> None:
        self._each: dict[str, Serving] = {}
        if workspace.settings.endpoint:
            # Here, because a server without endpoints need not load what reads tables.
            from charkh.workspace import serving

            memory = Memory(workspace.settings.serving.memory_bytes)
            names = sorted(workspace.settings.endpoint)
            self._each = {name: serving.Serving(workspace, [name], memory, resumes=resumes) for name in names}
        self._last: dict[str, Offer] = {}
        self._failures: dict[str, str] = {}

    def __call__(self) -> Offer:
        """The same objects where nothing changed."""
        offers = [self._one(name, serving) for name, serving in self._each.items()]
        splits = {name: split for offer in offers for name, split in offer.splits.items()}
        return Offer(tuple(servable for offer in offers for servable in offer.servables), splits)

    def close(self) -> None:
        """Write what rollouts have counted."""
        for serving in self._each.values():
            serving.close()

    def _one(self, name: str, serving: "Serving") -> Offer:
        try:
            self._last[name] = serving.offer()
        except CharkhError as error:
            if self._failures.get(name) != error.message:
                _log.warning("endpoint %s: %s", name, error.message)
            self._failures[name] = error.message
        else:
            self._failures.pop(name, None)
        return self._last.get(name, Offer())
