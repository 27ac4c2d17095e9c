"""The scheduler: fetches sources, collects monitors, tries models, turns loops, seals, lets old predictions go."""

import logging
import threading
import time

from charkh.bridges.dlt.collector import dlt_collector
from charkh.core.errors import CharkhError
from charkh.workspace.certifying import certify_model, due_suites, suites_of
from charkh.workspace.fetching import due_sources, fetch
from charkh.workspace.leading import leadership_of
from charkh.workspace.sealing import seal_all
from charkh.workspace.turning import turn_loop
from charkh.workspace.watching import due, watch
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh.server")


class Scheduler:
    """Works in a thread beside the server; one failure is logged and does not stop the next round.

    Of several servers of one store, one has the rounds at a time; when it is gone another takes them over.

    Args:
        workspace: whose loops are turned.
        every: seconds between two rounds; 0 for none.
    """

    def __init__(self, workspace: Workspace, every: float) -> None:
        self._workspace = workspace
        self._every = every
        self._leadership = leadership_of(workspace, "loops")
        self._said: dict[str, tuple[str, str]] = {}
        self._looked: dict[str, float] = {}
        self._untried: dict[str, float] = {}
        self._stop = threading.Event()
        # A retraining may take hours; a server that is told to stop does not wait for it, and the next one
        # resumes it from the steps that are done.
        self._thread = threading.Thread(target=self._run, name="charkh-scheduler", daemon=True)

    def start(self) -> None:
        """Begin; the first round is `every` seconds away."""
        if self._every > 0:
            self._thread.start()

    def stop(self, grace: float) -> bool:
        """Begin no other round; whether the one under way ended within `grace` seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)
        ended = not self._thread.is_alive()
        if ended:
            self._leadership.close()
        return ended

    def round(self) -> None:
        """One round: sources, monitors and stability tests that are due, every loop once, then seal and let go."""
        for name in due_sources(self._workspace, time.time(), self._looked):
            if self._stop.is_set():
                return
            self._fetch(name)
        for name in due(self._workspace, time.time()):
            if self._stop.is_set():
                return
            self._collect(name)
        # Before the loops, whose gates may ask for what the tests certify.
        self._certify()
        for name in sorted(self._workspace.settings.loop):
            if self._stop.is_set():
                return
            try:
                decision = turn_loop(self._workspace, name)
            except CharkhError as error:
                _log.error("loop %s: %s", name, error.message)
                continue
            said = (decision.id, decision.decided.outcome)
            if decision.decided.outcome != "idle" and self._said.get(name) != said:
                # A brake that holds on gives the same decision at every round.
                self._said[name] = said
                _log.info("loop %s: %s: %s", name, decision.decided.outcome, decision.decided.reason)
        try:
            seal_all(self._workspace)
        except CharkhError as error:
            _log.error("sealing: %s", error.message)
        self._expire()

    def _expire(self) -> None:
        if not any(settings.keep for settings in self._workspace.settings.endpoint.values()):
            return
        # Here, because a server that keeps everything need not load what reads tables.
        from charkh.workspace.expiring import expire

        try:
            done = expire(self._workspace)
        except CharkhError as error:
            _log.error("letting old predictions go: %s", error.message)
            return
        for each in done:
            _log.info("endpoint %s: %d predictions were older than they are kept", each.endpoint, each.rows)

    def _fetch(self, name: str) -> None:
        # A source that fails waits as long as one that has nothing new: what it did bring is kept meanwhile.
        self._looked[name] = time.time()
        try:
            outcome = fetch(self._workspace, name, bridges={"dlt": dlt_collector})
        except CharkhError as error:
            _log.error("source %s: %s", name, error.message)
            return
        if outcome.version is not None:
            _log.info("source %s: %s is new", name, outcome.version.ref)

    def _collect(self, name: str) -> None:
        try:
            report = watch(self._workspace, name)
        except CharkhError as error:
            # Nobody having asked since the last time is no trouble: the next round looks again.
            level = logging.DEBUG if error.code == "monitor.no_requests" else logging.ERROR
            _log.log(level, "monitor %s: %s", name, error.message)
            return
        for alert in report.alerts:
            _log.warning("monitor %s: %s: %s", name, alert.condition, alert.reason)

    def _certify(self) -> None:
        try:
            suites = suites_of(self._workspace)
            waiting = due_suites(self._workspace, suites, time.time(), self._untried)
        except CharkhError as error:
            _log.error("stability: %s", error.message)
            return
        for name in waiting:
            if self._stop.is_set():
                return
            try:
                made = certify_model(self._workspace, name, suites[name]).made
            except CharkhError as error:
                self._untried[name] = time.time()
                _log.error("stability %s: %s", name, error.message)
                continue
            self._untried.pop(name, None)
            if made.ok:
                _log.info("stability %s: passed", name)
            else:
                failed = ", ".join(result.test for result in made.results if result.bad)
                _log.warning("stability %s: failed: %s", name, failed or "no test could be made")

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                if self._leadership.leads():
                    self.round()
            except Exception:  # noqa: BLE001 - the edge of the thread: a pipeline of the user's may raise anything
                _log.exception("a round of the loops failed")
