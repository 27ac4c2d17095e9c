"""Log a candidate as one fact, its files with it, and make a version of it later without saving it again."""

import secrets
from collections.abc import Sequence
from time import time

from charkh.core.errors import Bug
from charkh.core.events import Draft, Edge
from charkh.core.files import TreeEntry
from charkh.core.redact import redact
from charkh.models.candidate import Candidate
from charkh.models.example import example_bytes, input_specs
from charkh.models.find import find
from charkh.models.index import ModelByContent
from charkh.models.logged import LOGGED_KIND, NOUN, LoggedContent, ModelLogged, parse_logged_id
from charkh.models.logged_decision import RegisterLogged, content_of_logged
from charkh.models.model import ModelVersion, checked_metrics
from charkh.models.registered import parse_model_name
from charkh.models.texts import put_text
from charkh.ports.store import Store


def log_candidate(store: Store, name: str, candidate: Candidate, *, project: str = "") -> str:
    """Record a candidate with its files, signature, example and library versions; its id.

    One flush and one fact: a training loop can do it every epoch. The bytes are durable when this returns, and the
    fact survives the process.

    Args:
        store: where it goes.
        name: for people; it need not be the only one of its name.
        candidate: the model.
        project: id of the project, empty for the default one.

    Raises:
        Unavailable: the store cannot be written.
    """
    parts, judged = candidate.parts, candidate.judged
    files = [TreeEntry(path, store.vault.put_bytes(data, path)) for path, data in candidate.files.items()]
    tensors = candidate.tensors
    content = LoggedContent(
        tree=store.vault.put_tree(files),
        runtime=parts.runtime,
        libraries=dict(judged.libraries),
        signature=parts.signature,
        safety=judged.safety,
        example=store.vault.put_bytes(example_bytes(tensors, input_specs(tensors)), "x.json"),
    )
    store.vault.flush()
    logged = f"m-{secrets.token_hex(16)}"
    body = ModelLogged(
        logged=logged,
        project=project,
        name=redact(name),
        run=parts.run,
        created=time(),
        content=content,
        metrics=checked_metrics(parts.metrics),
    )
    subject = f"{NOUN}:{logged}"
    edges = [Edge(subject, "trained_on", origin) for origin in parts.origins]
    if parts.run:
        edges.insert(0, Edge(subject, "produced_by", f"run:{parts.run}"))
    holds = (content.tree.root, *([content.example.held] if content.example is not None else []))
    draft = Draft(kind=LOGGED_KIND, subject=subject, body=body, edges=tuple(edges), facts=body.metrics, holds=holds)
    # The bytes are durable; the fact is in the operating system's hands, as everything that a training loop records.
    store.record(draft)
    return logged


def register_logged(
    store: Store, name: str, logged: str, *, description: str = "", datasets: Sequence[str] = ()
) -> ModelVersion:
    """Make a version of a logged model whose files charkh saved; nothing is copied.

    Args:
        store: where it is.
        name: of the registered model.
        logged: id of the logged model.
        description: what a person should know about the version.
        datasets: ids of the dataset versions that it was trained on.

    Raises:
        NotFound: there is no such logged model.
        Invalid: its files came from another tool: register it through that.
    """
    name, logged = parse_model_name(name), parse_logged_id(logged)
    command = RegisterLogged(
        name=name,
        logged=logged,
        description=put_text(store, description),
        datasets=tuple(sorted(set(datasets))),
    )
    events = store.commands.decide(command)
    return find(store, events[0].subject) if events else _same(store, name, logged)


def _same(store: Store, name: str, logged: str) -> ModelVersion:
    version = store.queries.ask(ModelByContent(name=name, content=content_of_logged(name, logged)))
    if version is None:
        raise Bug(f"the version of {name!r} that was there a moment ago cannot be found")
    return version
