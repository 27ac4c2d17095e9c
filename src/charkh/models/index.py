"""Models' part of the catalog: the questions about models, versions and aliases, and how they are answered."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from charkh.core.authors import refs_of, the_one
from charkh.core.files import FileRef
from charkh.core.refs import VersionRef
from charkh.models.decisions import DECISIONS
from charkh.models.history import heads, heads_at
from charkh.models.history_index import ModelHistory, model_history
from charkh.models.logged_decision import LOGGED_DECISIONS
from charkh.models.lookups import (
    AT_ONCE,
    Words,
    all_keys,
    gone_keys,
    keys_of,
    moves_of,
    names_of,
    new_names,
    versions_where,
    words_about,
)
from charkh.models.model import AliasHolder, AliasMove, ModelSummary, ModelVersion
from charkh.models.registered import NAME_NOUN, name_subject
from charkh.models.tables import KINDS, METADATA, fold, known, versions
from charkh.ports.projections import Description, Projection, Query


class ModelByRef(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The version that a reference means; deleted ones are found by number only. `Conflict` when it means several."""

    ref: VersionRef


class ModelById(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The version with this id."""

    version: str


class ModelByContent(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The live version of `name` about which exactly this was said; the first of several."""

    name: str
    content: str


class ModelVersions(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """Versions of a model, newest number first."""

    name: str
    deleted: bool = False


class AllVersions(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """The live versions of every model, by name and falling number; of some runs only, where they are named."""

    runs: tuple[str, ...] | None = None


class ModelsOfRun(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """The live versions that a run made."""

    run: str


class ModelsFromLogged(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """The live versions that were registered from a logged model."""

    logged: str


class Models(Query[tuple[ModelSummary, ...]], frozen=True, kw_only=True):
    """Models whose name begins with `prefix`, by name; with or without versions."""

    prefix: str = ""


class ModelNamed(Query[ModelSummary | None], frozen=True, kw_only=True):
    """The model that has this name now."""

    name: str


class NewNames(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """What models that were once called `name` are called now."""

    name: str


class AliasesOf(Query[tuple[AliasHolder, ...]], frozen=True, kw_only=True):
    """The aliases of a model that somebody holds, by name."""

    name: str


class AliasHolderOf(Query[AliasHolder | None], frozen=True, kw_only=True):
    """Who holds an alias: now, or at `moment` (seconds since the epoch). None when it had never been moved.

    Of the past a model that has been removed is answered too.
    """

    name: str
    alias: str
    moment: float | None = None


class AliasHistory(Query[tuple[AliasMove, ...]], frozen=True, kw_only=True):
    """Every move of an alias, newest first; with an empty alias, of all aliases of the model."""

    name: str
    alias: str = ""


def model_by_ref(connection: Connection, query: ModelByRef) -> ModelVersion | None:
    name, selector, _ = query.ref
    if query.ref.number is not None:
        keys = keys_of(connection, name) or keys_of(connection, name, gone=True)
        found = versions_where(connection, versions.c.model.in_(keys), versions.c.number == query.ref.number)
        return the_one(query.ref, found, "model")
    if selector == "latest":
        live = model_versions(connection, ModelVersions(name=name))
        top = [version for version in live if version.made.number == live[0].made.number]
        return the_one(query.ref, top, "model")
    holder = alias_holder(connection, AliasHolderOf(name=name, alias=selector))
    version = holder.version if holder else None
    return version if version is not None and version.deleted is None else None


def model_by_id(connection: Connection, query: ModelById) -> ModelVersion | None:
    return next(iter(versions_where(connection, versions.c.id == query.version)), None)


def model_by_content(connection: Connection, query: ModelByContent) -> ModelVersion | None:
    keys = keys_of(connection, query.name)
    found = versions_where(connection, versions.c.model.in_(keys), versions.c.content == query.content)
    return next((version for version in reversed(found) if version.deleted is None), None)


def model_versions(connection: Connection, query: ModelVersions) -> tuple[ModelVersion, ...]:
    keys = keys_of(connection, query.name, gone=query.deleted)
    found = versions_where(connection, versions.c.model.in_(keys))
    return tuple(version for version in found if query.deleted or version.deleted is None)


def all_versions(connection: Connection, query: AllVersions) -> tuple[ModelVersion, ...]:
    conditions = [] if query.runs is None else [versions.c.run.in_(query.runs[:AT_ONCE])]
    found = versions_where(connection, *conditions)
    return tuple(version for version in found if version.deleted is None)


def models_of_run(connection: Connection, query: ModelsOfRun) -> tuple[ModelVersion, ...]:
    found = versions_where(connection, versions.c.run == query.run)
    return tuple(version for version in found if version.deleted is None)


def models_from_logged(connection: Connection, query: ModelsFromLogged) -> tuple[ModelVersion, ...]:
    found = versions_where(connection, versions.c.logged == query.logged)
    return tuple(version for version in found if version.deleted is None)


def models(connection: Connection, query: Models) -> tuple[ModelSummary, ...]:
    keys = all_keys(connection)
    names = names_of(connection, keys - gone_keys(connection, keys))
    by_name: dict[str, list[str]] = {}
    for key, name in names.items():
        if name.startswith(query.prefix):
            by_name.setdefault(name, []).append(key)
    return _summaries(connection, by_name)


def model_named(connection: Connection, query: ModelNamed) -> ModelSummary | None:
    keys = keys_of(connection, query.name)
    return next(iter(_summaries(connection, {query.name: keys})), None) if keys else None


def new_names_of(connection: Connection, query: NewNames) -> tuple[str, ...]:
    return tuple(new_names(connection, query.name))


def aliases_of(connection: Connection, query: AliasesOf) -> tuple[AliasHolder, ...]:
    words = sorted({move.moved.alias for move in moves_of(connection, keys_of(connection, query.name))})
    holders = [alias_holder(connection, AliasHolderOf(name=query.name, alias=word)) for word in words]
    return tuple(holder for holder in holders if holder is not None and holder.version is not None)


def alias_holder(connection: Connection, query: AliasHolderOf) -> AliasHolder | None:
    moves = moves_of(connection, keys_of(connection, query.name, gone=query.moment is not None), query.alias)
    current = heads(moves) if query.moment is None else heads_at(moves, query.moment)
    if not current:
        return None
    move, *rivals = current
    version = model_by_id(connection, ModelById(version=move.moved.version)) if move.moved.version else None
    return AliasHolder(move=move, rivals=tuple(rivals), version=version)


def alias_history(connection: Connection, query: AliasHistory) -> tuple[AliasMove, ...]:
    moves = moves_of(connection, keys_of(connection, query.name, gone=True), query.alias)
    return tuple(sorted(moves, key=lambda move: move.stamp, reverse=True))


def portray(connection: Connection, identifier: str) -> Description | None:
    version = model_by_id(connection, ModelById(version=identifier))
    if version is None:
        return None
    made = version.made
    same = versions_where(
        connection,
        versions.c.model.in_(keys_of(connection, made.name, gone=True)),
        versions.c.number == made.number,
    )
    lines = [
        ("runtime", made.runtime),
        ("safety", made.safety.level),
        ("files", made.tree.root or f"elsewhere: {made.source}"),
        ("registered by", version.actor),
        *((("aliases", ", ".join(version.aliases)),) if version.aliases else ()),
        *((name, str(value)) for name, value in version.metrics.items()),
        *((("deleted", "its bytes may be gone"),) if version.deleted is not None else ()),
    ]
    return Description(title=refs_of(same)[version.id], lines=tuple(lines))


def portray_name(connection: Connection, key: str) -> Description | None:
    name = names_of(connection, [key]).get(key)
    if name is None:
        return None
    gone = bool(gone_keys(connection, [key]))
    return Description(title=name, lines=(("removed", "with its versions"),) if gone else ())


def _summaries(connection: Connection, by_name: dict[str, list[str]]) -> tuple[ModelSummary, ...]:
    keys = [key for those in by_name.values() for key in those]
    everything: dict[str, list[ModelVersion]] = {}
    made: dict[str, tuple[str, float]] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        for version in versions_where(connection, versions.c.model.in_(some)):
            everything.setdefault(version.made.name, []).append(version)
        rows = connection.execute(select(known).where(known.c.model.in_(some)))
        made |= {row.model: (row.actor, row.at) for row in rows}
    words = words_about(connection, map(name_subject, keys))
    return tuple(_summary(name, by_name[name], everything.get(name, []), made, words) for name in sorted(by_name))


def _summary(
    name: str,
    keys: Sequence[str],
    found: Sequence[ModelVersion],
    made: dict[str, tuple[str, float]],
    words: dict[str, Words],
) -> ModelSummary:
    live = [version for version in found if version.deleted is None]
    begins = [made[key] for key in keys if key in made] + [(each.actor, each.created) for each in found]
    actor, created = min(begins, key=lambda begin: begin[1])
    tags: dict[str, str] = {}
    long_tags: dict[str, FileRef] = {}
    description, updated = None, created
    for key in keys:
        about = words.get(name_subject(key))
        if about is not None:
            tags, long_tags = tags | about.tags, long_tags | about.long_tags
            description = about.description or description
            updated = max(updated, about.updated)
    for version in found:
        updated = max(updated, version.created, version.staged, version.deleted or 0.0)
    return ModelSummary(
        name=name,
        versions=len(live),
        latest=live[0] if live else None,
        aliases={alias: version.made.number for version in live for alias in version.aliases},
        keys=tuple(sorted(keys)),
        tags=tags,
        long_tags=long_tags,
        description=description,
        actor=actor,
        created=created,
        updated=updated,
    )


PROJECTION = Projection(
    name="model",
    version=2,
    tables=METADATA,
    kinds=KINDS,
    fold=fold,
    answers={
        ModelByRef: model_by_ref,
        ModelById: model_by_id,
        ModelByContent: model_by_content,
        ModelVersions: model_versions,
        AllVersions: all_versions,
        ModelsOfRun: models_of_run,
        ModelsFromLogged: models_from_logged,
        Models: models,
        ModelNamed: model_named,
        NewNames: new_names_of,
        AliasesOf: aliases_of,
        AliasHolderOf: alias_holder,
        AliasHistory: alias_history,
        ModelHistory: model_history,
    },
    portraits={"model": portray, NAME_NOUN: portray_name},
    decisions={**DECISIONS, **LOGGED_DECISIONS},
)
