"""`charkh model`: list, show, alias, rollback and delete; the other verbs stand in `model_*.py`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.exact import require_version
from charkh.cli.model_candidates import candidates, register
from charkh.cli.model_compile import compile_form, compiled_lines
from charkh.cli.model_gate import approve, decisions, promote, reject, withdraw
from charkh.cli.model_served import history as show_history
from charkh.cli.model_served import served
from charkh.cli.model_sign import files, sbom, sign, verify
from charkh.cli.model_trust import distrust, trust
from charkh.cli.model_words import declare, describe, remove, rename, stage, tag
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_size, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import title_of
from charkh.core.authors import refs_of
from charkh.core.errors import Invalid
from charkh.core.runtime_settings import how_to_have
from charkh.models.compiled import CompiledOf
from charkh.models.delete import delete as delete_version
from charkh.models.find import find
from charkh.models.index import AliasesOf, AliasHistory, Models, ModelVersions
from charkh.models.model import CHAMPION, AliasHolder, AliasMove, ModelVersion
from charkh.ports.runtimes import TensorSpec
from charkh.workspace.promoting import move_by_hand, remove_by_hand, roll_back_by_hand

app = typer.Typer(no_args_is_help=True, help="Registered, versioned models with aliases.")

Ref = Annotated[str, typer.Argument(help="A version: delay@3, delay@champion, delay (the latest) or model:ID.")]
Name = Annotated[str, typer.Argument(help="The model's name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the history.")]
Expect = Annotated[
    str | None,
    typer.Option("--expect", help="Do it only if this version holds the alias now; 'nobody' for none."),
]
MISSING = "nobody"


@app.command("list")
def list_models(
    prefix: Annotated[str, typer.Argument(help="Only names that begin so.")] = "", json: AsJson = False
) -> None:
    """List the models with their latest version and aliases."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Models(prefix=prefix))
    if json:
        write_json(found)
        return
    write_table(
        ["model", "latest", "versions", "aliases", "runtime", "registered"],
        [
            [
                each.name,
                "" if each.latest is None else each.latest.made.number,
                each.versions,
                [f"{alias} → {number}" for alias, number in each.aliases.items()],
                "" if each.latest is None else each.latest.made.runtime,
                shown_time(each.created if each.latest is None else each.latest.created),
            ]
            for each in found
        ],
        empty="no model is registered yet",
    )


@app.command()
def show(model: Ref, json: AsJson = False) -> None:
    """Show a version: signature, safety, metrics, aliases and their history, and the other versions."""
    with open_workspace() as workspace:
        queries = workspace.store.queries
        version = find(workspace.store, model)
        name = version.made.name
        versions = queries.ask(ModelVersions(name=name, deleted=True))
        holders = queries.ask(AliasesOf(name=name))
        history = queries.ask(AliasHistory(name=name))
        compiled = queries.ask(CompiledOf(version=version.id))
        trained_on = [title_of(workspace.store, f"dataset:{each}") for each in version.made.datasets]
        here = version.made.runtime in {each.name for each in workspace.runtimes}
    if json:
        write_json(
            {"version": version, "versions": versions, "aliases": holders, "history": history, "compiled": compiled}
        )
        return
    _write_version(version, refs_of(versions)[version.id], trained_on, here, compiled_lines(compiled))
    write_line()
    made = version.made
    specs = [("input", spec) for spec in made.signature.inputs] + [("output", spec) for spec in made.signature.outputs]
    write_table(["", "name", "type", "may be missing"], [[way, *_cells(spec)] for way, spec in specs])
    write_line()
    _write_versions(versions)
    _write_aliases(holders, history)


@app.command()
def alias(
    model: Ref,
    word: Annotated[str, typer.Argument(help="The alias, such as champion.")],
    remove: Annotated[bool, typer.Option("--remove", help="Let nobody hold it.")] = False,
    expect: Expect = None,
    reason: Reason = "",
    override: Annotated[
        str, typer.Option("--override", help="Why the gate that guards the alias is passed by; it is kept as such.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Let a version hold an alias, or take the alias away."""
    with open_workspace() as workspace:
        store = workspace.store
        expected = None if expect is None else "" if expect == MISSING else find(store, expect).id
        if remove:
            if "@" in model or ":" in model:
                raise Invalid(
                    f"{model!r} names a version, and an alias is taken from a model",
                    code="model.alias_of",
                    hint=f"Write: charkh model alias {model.partition('@')[0]} {word} --remove",
                )
            remove_by_hand(workspace, model, word, expect=expected, reason=reason, override=override)
            done: dict[str, object] = {"model": model, "alias": word, "version": None}
        else:
            version = move_by_hand(workspace, model, word, expect=expected, reason=reason, override=override)
            done = {"model": version.made.name, "alias": word, "version": version.ref}
    if json:
        write_json(done)
        return
    write_line(f"{done['model']}@{word} is {done['version'] or 'held by nobody'}")


@app.command()
def rollback(
    name: Name,
    alias: Annotated[str, typer.Option("--alias", help="What is put back.")] = CHAMPION,
    expect: Expect = None,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Put the previous holder of an alias back; again, the one before."""
    with open_workspace() as workspace:
        expected = None if expect is None else "" if expect == MISSING else find(workspace.store, expect).id
        version = roll_back_by_hand(workspace, name, alias=alias, expect=expected, reason=reason)
    if json:
        write_json({"model": name, "alias": alias, "version": version.ref})
        return
    write_line(f"{name}@{alias} is {version.ref} again")


@app.command()
def delete(
    model: Annotated[str, typer.Argument(help="The version: delay@3, delay@latest or model:ID.")],
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Delete a version that no alias is on; its number is never given again."""
    with open_workspace() as workspace:
        require_version(model, find(workspace.store, model).ref, "model")
        version = delete_version(workspace.store, model, reason=reason)
    if json:
        write_json({"deleted": version.ref, "id": version.id})
        return
    write_line(f"deleted {version.ref}; `charkh gc` frees its bytes")


def _write_version(
    version: ModelVersion, title: str, trained_on: Sequence[str], here: bool, compiled: Sequence[tuple[str, str]]
) -> None:
    made = version.made
    pairs: list[tuple[str, object]] = [
        ("model", title),
        ("id", version.subject),
        ("aliases", version.aliases),
        ("runtime", f"{made.runtime} ({', '.join(f'{name} {number}' for name, number in made.libraries.items())})"),
        ("", "" if here else f"not here. {how_to_have(made.runtime)}"),
        ("safety", made.safety.level),
        *(("", reason) for reason in made.safety.reasons),
        ("files", "elsewhere" if made.elsewhere else f"{made.tree.files}, {shown_size(made.tree.size)}"),
        ("lies at", made.source if made.elsewhere else ""),
        *compiled,
        ("stage", version.stage),
        *((f"tag {name}", value) for name, value in version.tags.items()),
        ("run", f"run:{made.run}" if made.run else ""),
        ("trained on", tuple(trained_on)),
        ("registered", f"{shown_time(version.created)} by {version.actor}"),
        *version.metrics.items(),
    ]
    write_pairs([(label, value) for label, value in pairs if value not in ("", ())])


def _write_versions(versions: tuple[ModelVersion, ...]) -> None:
    refs = refs_of(versions)
    write_table(
        ["version", "registered", "by", "aliases", "state"],
        [
            [
                refs[each.id],
                shown_time(each.created),
                each.actor,
                each.aliases,
                "" if each.deleted is None else f"deleted {shown_time(each.deleted)}",
            ]
            for each in versions
        ],
    )


def _write_aliases(holders: tuple[AliasHolder, ...], history: tuple[AliasMove, ...]) -> None:
    for holder in holders:
        if holder.rivals:
            others = ", ".join(f"version {rival.number} by {rival.actor}" for rival in holder.rivals)
            write_line(f"conflict: {holder.move.moved.alias} was also given to {others}; move it again to settle it")
    if not history:
        return
    write_line()
    write_table(
        ["alias", "version", "moved", "by", "reason"],
        [
            [
                move.moved.alias,
                move.number or "nobody",
                shown_time(move.at),
                move.moved.decided_by or move.actor,
                _why(move),
            ]
            for move in history
        ],
    )


def _why(move: AliasMove) -> str:
    how = "rollback" if move.moved.rollback else "override" if move.moved.override else ""
    return f"{how}: {move.moved.reason}".strip(": ")


def _cells(spec: TensorSpec) -> list[object]:
    return [spec.name, f"{spec.datatype}{list(spec.shape)}", spec.optional]


app.command("served")(served)
app.command("compile")(compile_form)
app.command("history")(show_history)
app.command("candidates")(candidates)
app.command("register")(register)
app.command("declare")(declare)
app.command("describe")(describe)
app.command("tag")(tag)
app.command("stage")(stage)
app.command("rename")(rename)
app.command("remove")(remove)
app.command("promote")(promote)
app.command("approve")(approve)
app.command("reject")(reject)
app.command("withdraw")(withdraw)
app.command("decisions")(decisions)
app.command("trust")(trust)
app.command("distrust")(distrust)
app.command("sign")(sign)
app.command("verify")(verify)
app.command("files")(files)
app.command("sbom")(sbom)
