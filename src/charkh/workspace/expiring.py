"""Let logged predictions and told truths go when they are older than an endpoint keeps them, with their bytes.

What is dropped is erased as well: the bytes leave the packs at once, and a copy of the store that is synchronised
loses them too. A chunk that something else is made of stays.
"""

import contextlib
import time
from collections.abc import Sequence

from charkh.assets.index import EMPTY, ERASED_KIND, Erased
from charkh.assets.replace import chunks_in_use
from charkh.core.errors import Invalid, Locked, NotFound
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.quantities import parse_duration
from charkh.endpoints.deployment import EXPIRED_KIND, Expired, Sealed, TruthTold
from charkh.endpoints.log_index import SealedSegments, Truths
from charkh.endpoints.seal import seal
from charkh.lineage.index import Holds
from charkh.workspace.purging import purge
from charkh.workspace.workspace import Workspace

AT_ONCE = 500
"""Segments that one event names at most."""


def expire(
    workspace: Workspace, names: Sequence[str] = (), *, keep: str = "", now: float | None = None, dry_run: bool = False
) -> tuple[Expired, ...]:
    """Let go what is older than is kept; what went, by endpoint.

    A segment goes when its latest prediction is old enough. What a server writes now is never touched.

    Args:
        workspace: whose endpoints.
        names: of endpoints; without, all that the settings name.
        keep: such as `90d`; without, what the settings say of each.
        now: seconds since the epoch; the clock by default.
        dry_run: only say what would go.

    Raises:
        Invalid: an endpoint is named of which nothing says how long.
        Unavailable: the store cannot be written.
    """
    known = workspace.settings.endpoint
    done: list[Expired] = []
    for name in names or sorted(known):
        told = keep or (known[name].keep if name in known else "")
        if not told:
            if names:
                raise Invalid(
                    f"nothing says how long {name!r} keeps its predictions",
                    code="endpoint.no_keep",
                    hint=f'Write keep = "90d" in [endpoint.{name}], or give --keep.',
                )
            continue
        before = (time.time() if now is None else now) - parse_duration(told)
        done += _expire(workspace, name, before, told, dry_run=dry_run)
    if done and not dry_run:
        workspace.vault.erased.forget()
        # Where a collection is under way the bytes leave with it, or with the next.
        with contextlib.suppress(Locked):
            purge(workspace)
    return tuple(done)


def _expire(workspace: Workspace, name: str, before: float, keep: str, *, dry_run: bool) -> list[Expired]:
    store = workspace.store
    if not dry_run:
        seal(store, name)
    segments = [each for each in store.queries.ask(SealedSegments(endpoint=name)) if each.last < before]
    truths = [each for each in store.queries.ask(Truths(endpoint=name)) if each.last < before]
    done: list[Expired] = []
    for start in range(0, max(len(segments), len(truths)), AT_ONCE):
        some, told = segments[start : start + AT_ONCE], truths[start : start + AT_ONCE]
        body = Expired(
            endpoint=name,
            before=before,
            segments=tuple(each.segment for each in some),
            truths=tuple(each.truths for each in told),
            rows=sum(each.rows for each in some),
            bytes=sum(file.size for file in _files(some, told)),
        )
        done.append(body)
        if not dry_run:
            _let_go(workspace, body, _files(some, told), f"[endpoint.{name}] keep = {keep}")
    return done


def _files(segments: Sequence[Sealed], truths: Sequence[TruthTold]) -> list[FileRef]:
    return [each.file for each in (*segments, *truths) if each.file is not None]


def _let_go(workspace: Workspace, body: Expired, files: Sequence[FileRef], reason: str) -> None:
    """Drop and erase in one batch, so that nothing is dropped whose bytes stay."""
    store, vault = workspace.store, workspace.vault
    drops = (*(f"predictions:{each}" for each in body.segments), *(f"truths:{each}" for each in body.truths))
    drafts = [Draft(kind=EXPIRED_KIND, subject=f"endpoint:{body.endpoint}", body=body, drops=drops)]
    with store.journal.exclusive():
        going = set(drops)
        roots = {digest for subject, digest in store.queries.ask(Holds()) if subject not in going}
        parts: set[str] = set()
        for file in files:
            parts |= {file.digest, file.held}
            try:
                parts |= {digest for digest, _ in vault.chunks(vault.erased.current(file))}
            except NotFound:
                continue  # The bytes are elsewhere; there they go with the fact.
        parts.discard(EMPTY)
        kept = chunks_in_use(vault, roots, {bytes.fromhex(each) for each in parts}, frozenset())
        replacements = dict.fromkeys(sorted(each for each in parts if bytes.fromhex(each) not in kept), "")
        if replacements:
            erased = Erased(replacements=replacements, reason=reason)
            drafts.append(Draft(kind=ERASED_KIND, subject=f"asset:{min(replacements)}", body=erased))
        store.record(*drafts, durable=True)
