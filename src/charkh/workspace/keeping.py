"""What one endpoint serves in this process: loaded, asked its example, swapped, put back at once, taken down, stopped.

What was served before stays loaded, so that going back needs no load. What cannot be loaded, or does not answer its
example, never takes the place of what answers.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import CharkhError, Denied, Unavailable
from charkh.endpoints.deploy import deploy
from charkh.endpoints.deployment import Deployed
from charkh.endpoints.find import find as find_deployment
from charkh.endpoints.index import CurrentDeployment, Deployments
from charkh.endpoints.memory import Memory, Resident
from charkh.endpoints.servable import Servable
from charkh.endpoints.warm import warm_up
from charkh.models.admit import require_signatures, require_trust
from charkh.models.model import ModelVersion
from charkh.models.trust import refuse_distrusted
from charkh.ports.runtimes import Tensors
from charkh.workspace.governing import rules_of
from charkh.workspace.rollouts import log_of
from charkh.workspace.wanted import Wanted, deployed, graph_text
from charkh.workspace.workspace import Workspace

AGAIN_SECONDS = 30.0
"""How long what could not be loaded is not tried again; what was not allowed is asked about at every look."""
_NOTHING_REFUSED: tuple[tuple[str, ...], str, float] = ((), "", 0.0)
"""What was refused, why, and when."""
_log = logging.getLogger("charkh")

Make = Callable[[Wanted], tuple[Servable, bytes]]
"""Loads what is wanted, without a deployment and a log; beside it the body of an example request, or nothing."""


@dataclasses.dataclass(slots=True)
class _Loaded:
    identity: tuple[str, ...]
    servable: Servable
    resident: Resident | None
    versions: tuple[ModelVersion, ...]
    away: Servable | None = None


class Keeping:
    """What one endpoint serves in this process.

    Args:
        workspace: whose endpoint it is.
        name: of the endpoint.
        make: loads what is wanted.
        memory: that it shares with other endpoints.
        resumes: another process served it until now, or still does: where what is wanted cannot be loaded, it begins
            with what was deployed last, and without that it says why it answers nothing.
    """

    def __init__(self, workspace: Workspace, name: str, make: Make, memory: Memory, *, resumes: bool = False) -> None:
        self._workspace = workspace
        self._name = name
        self._make = make
        self._memory = memory
        self._resumes = resumes
        self._now: _Loaded | None = None
        self._before: _Loaded | None = None
        self._refused = _NOTHING_REFUSED

    @property
    def is_settled(self) -> bool:
        """Whether nothing was refused that is to be tried again."""
        return self._refused == _NOTHING_REFUSED

    def serve(self, wanted: Wanted) -> Servable:
        """What is to be asked now; the same object where nothing changed.

        Raises:
            CharkhError: the first version cannot be loaded, may not be, or does not answer its example.
        """
        now = self._now
        if now is None:
            now = self._now = self._first(wanted)
        elif now.identity != wanted.identity:
            now = self._swapped(now, wanted)
        else:
            self._refused = _NOTHING_REFUSED
            now = self._now = self._renewed(now, wanted)
        return self._unless_distrusted(now)

    def stopped(self, settings: EndpointSettings, why: str) -> Servable:
        """What says that the endpoint was stopped; what was loaded stays, so that it begins again at once.

        Raises:
            NotFound: its models are not there any more, and nothing was loaded.
        """
        now = self._now
        if now is None:
            last = self._workspace.store.queries.ask(Deployments(endpoint=self._name))
            made = next(each.made for each in last if not each.made.rollout)
            now = self._now = self._nothing(deployed(self._workspace.store, settings, made), made, why)
        return self._down(now, why)

    def keep(self, settings: EndpointSettings, why: CharkhError) -> Servable:
        """What is to be asked where nobody can say what is wanted.

        Raises:
            CharkhError: `why`, where nothing answers yet.
        """
        now = self._now
        if now is None:
            now = self._now = self._last(settings, (), why)
        else:
            self._refuse((), now, why)
        return self._unless_distrusted(now)

    def candidate(self, wanted: Wanted) -> Servable:
        """A model that is to answer beside it, or to be compared with it; without a deployment and a log.

        Raises:
            CharkhError: as `serve`.
        """
        return self._made(wanted)[0]

    def _first(self, wanted: Wanted) -> _Loaded:
        try:
            return self._load(wanted)
        except CharkhError as error:
            self._refused = (wanted.identity, error.message, time.monotonic())
            return self._last(wanted.settings, wanted.identity, error)

    def _last(self, settings: EndpointSettings, identity: tuple[str, ...], why: CharkhError) -> _Loaded:
        """What was deployed last, which is loaded unless it is `identity`; raises `why` where this process is new."""
        store = self._workspace.store
        current = store.queries.ask(CurrentDeployment(endpoint=self._name)) if self._resumes else None
        if current is None:
            raise why
        _log.warning("endpoint %s begins with what was deployed last: %s", self._name, why.message)
        made = current.made
        last = deployed(store, settings, made)
        if last.identity != identity:
            try:
                return self._load(last)
            except CharkhError as error:
                why = error
        return self._nothing(last, made, why.message)

    def _nothing(self, last: Wanted, made: Deployed, why: str) -> _Loaded:
        """What stands for a deployment that is not loaded, and says why."""
        version = last.versions[0]
        nothing = Servable(
            name=self._name,
            version=str(version.made.number),
            subject=version.subject,
            signature=made.signature,
            predict=_refusing(self._name, why),
            away=why,
        )
        return _Loaded((), nothing, None, ())

    def _swapped(self, now: _Loaded, wanted: Wanted) -> _Loaded:
        identity, _, since = self._refused
        if identity == wanted.identity and time.monotonic() - since < AGAIN_SECONDS:
            return now
        before = self._before
        try:
            back = before is not None and before.identity == wanted.identity
            made = self._back(before, wanted) if back and before is not None else self._load(wanted)
        except CharkhError as error:
            self._refuse(wanted.identity, now, error)
            return now
        if now.resident is not None:
            now.resident.standby = True
        self._now, self._before, self._refused = made, now, _NOTHING_REFUSED
        _log.info(
            "endpoint %s answers with version %s%s", self._name, made.servable.version, ", kept loaded" * bool(back)
        )
        return made

    def _refuse(self, identity: tuple[str, ...], now: _Loaded, error: CharkhError) -> None:
        if self._refused[1] != error.message:
            _log.warning("endpoint %s goes on with version %s: %s", self._name, now.servable.version, error.message)
        # A person may allow at any time what was denied; nothing is read to deny it.
        self._refused = (() if isinstance(error, Denied) else identity, error.message, time.monotonic())

    def _load(self, wanted: Wanted) -> _Loaded:
        bare, resident = self._made(wanted)
        servable = self._deployed(bare, wanted)
        return _Loaded(wanted.identity, servable, resident, wanted.versions)

    def _renewed(self, now: _Loaded, wanted: Wanted) -> _Loaded:
        """What is served goes on under the deployment that says so now, which a person may have made."""
        current, log = wanted.current, now.servable.log
        if current is None or log is None:
            return now  # others serve what other settings say under this name; neither takes the other's place
        if current.id == log.deployment and current.made.instead_of == wanted.instead_of:
            return now
        return dataclasses.replace(now, servable=self._deployed(now.servable, wanted), away=None)

    def _back(self, before: _Loaded, wanted: Wanted) -> _Loaded:
        """What was served before, without loading it again, unless it may not be any more."""
        store, rules = self._workspace.store, rules_of(self._workspace)
        for version in wanted.versions:
            refuse_distrusted(store, version)
            if version.made.safety.runs_code:
                require_trust(store, version, version.made.safety, rules)
            require_signatures(store, version, rules)
        if before.resident is not None:
            before.resident.hold()
            before.resident.standby = False
        servable = self._deployed(before.servable, wanted)
        return _Loaded(wanted.identity, servable, before.resident, wanted.versions)

    def _made(self, wanted: Wanted) -> tuple[Servable, Resident]:
        example = b""
        first: list[Servable] = []

        def load() -> Callable[[Tensors], Tensors]:
            nonlocal example
            try:
                made, example = self._make(wanted)
            except CharkhError:
                raise
            except Exception as error:  # a disk, and the code of a runtime, may raise anything
                _log.debug("endpoint %s cannot load", self._name, exc_info=error)
                raise _not_loaded(self._name, wanted, error) from error
            first[:] = first or [made]
            return made.predict

        size = sum(version.made.tree.size for version in wanted.versions)
        label = f"endpoint {self._name}, version {wanted.versions[0].made.number}"
        resident = Resident(self._memory, label, load, size=size, pinned=wanted.settings.pinned)
        began = time.perf_counter()
        self._memory.add(resident)
        predict = resident.hold()
        (bare,) = first
        first.clear()
        expected = warm_up(bare, example) if example else bare.expected
        held = self._memory.budget > 0 and not resident.pinned
        servable = dataclasses.replace(
            bare,
            predict=resident.predict if held else predict,
            size=size,
            load_seconds=time.perf_counter() - began,
            is_held=resident.is_held,
            expected=expected,
        )
        return servable, resident

    def _deployed(self, servable: Servable, wanted: Wanted) -> Servable:
        """With a log of its own: the one that it had is closed with what was swapped out."""
        store, settings = self._workspace.store, wanted.settings
        deployment = deploy(
            store,
            self._name,
            servable.subject,
            signature=servable.signature,
            recipe_subjects=[recipe.subject for recipe in wanted.recipes],
            capture=settings.capture,
            models=[version.subject for version in wanted.versions] if settings.graph else (),
            graph=graph_text(settings),
            rolls_back=wanted.rolls_back,
            instead_of=wanted.instead_of,
            begins=False,
        )
        return dataclasses.replace(servable, log=log_of(self._workspace, deployment, servable.version))

    def _unless_distrusted(self, now: _Loaded) -> Servable:
        why = _distrust(self._workspace, now.versions)
        if not why:
            if now.away is not None and now.servable.log is not None:
                store = self._workspace.store
                deployment = find_deployment(store, f"deployment:{now.servable.log.deployment}")
                now.servable = dataclasses.replace(
                    now.servable, log=log_of(self._workspace, deployment, now.servable.version)
                )
                now.away = None
            return now.servable
        return self._down(now, why)

    def _down(self, now: _Loaded, why: str) -> Servable:
        if now.away is None or now.away.away != why:
            _log.warning("endpoint %s answers no more: %s", self._name, why)
            now.away = dataclasses.replace(now.servable, predict=_refusing(self._name, why), log=None, away=why)
        return now.away


def _distrust(workspace: Workspace, versions: Sequence[ModelVersion]) -> str:
    for version in versions:
        try:
            refuse_distrusted(workspace.store, version)
        except Denied as error:
            return error.message
    return ""


def _not_loaded(name: str, wanted: Wanted, error: Exception) -> Unavailable:
    return Unavailable(
        f"{wanted.versions[0].ref} cannot be loaded at {name!r}: {type(error).__name__}: {error}"[:400],
        code="endpoint.cannot_load",
        hint="`charkh fsck` says whether its bytes are as they were; `charkh model show` what loads it.",
    )


def _refusing(name: str, why: str) -> Callable[[Tensors], Tensors]:
    def refuse(_inputs: Tensors) -> Tensors:
        raise Unavailable(
            f"{name} was taken down: {why}",
            code="endpoint.taken_down",
            hint="`charkh endpoint rollback` puts back what answered before; another champion answers at once.",
        )

    return refuse
