"""`charkh model declare`, `tag`, `describe`, `rename`, `stage` and `remove`: what is said of models and versions."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.core.errors import Invalid
from charkh.models.annotate import describe as describe_ref
from charkh.models.annotate import tag as tag_ref
from charkh.models.declare import declare as declare_name
from charkh.models.remove import remove as remove_model
from charkh.models.rename import rename as rename_model
from charkh.models.stage import move_to_stage

Name = Annotated[str, typer.Argument(help="The model's name.")]
About = Annotated[str, typer.Argument(metavar="MODEL", help="A model (delay) or one of its versions (delay@3).")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the history.")]
Pairs = Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="Tags; NAME= with nothing behind it removes.")]


def declare(
    name: Name,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A tag; may be repeated.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What a person should know about it.")] = "",
    json: AsJson = False,
) -> None:
    """Register a model's name before it has a version."""
    said = {key: value for key, value in _pairs(tags or []).items() if value is not None}
    with open_workspace() as workspace:
        model = declare_name(workspace.store, name, description=description, tags=said)
    if json:
        write_json(model)
        return
    write_line(f"{model.name} is registered; it has no version yet")


def tag(about: About, tags: Pairs, json: AsJson = False) -> None:
    """Set or remove tags of a model or version."""
    said = _pairs(tags)
    with open_workspace() as workspace:
        tag_ref(workspace.store, about, said)
    if json:
        write_json({"about": about, "tags": said})
        return
    shown = ", ".join(f"{key}={'' if value is None else value}" for key, value in said.items())
    write_line(f"{about} is tagged: {shown}")


def describe(
    about: About,
    text: Annotated[str, typer.Argument(help="What a person should know about it; '' takes the description away.")],
    json: AsJson = False,
) -> None:
    """Describe a model or version in words."""
    with open_workspace() as workspace:
        describe_ref(workspace.store, about, text)
    if json:
        write_json({"about": about, "described": bool(text.strip())})
        return
    write_line(f"{about} is described" if text.strip() else f"{about} has no description any more")


def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="What it is called from now on.")],
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Give a model another name; its versions, aliases and history go with it."""
    with open_workspace() as workspace:
        model = rename_model(workspace.store, name, new, reason=reason)
    if json:
        write_json({"old": name, "name": model.name})
        return
    write_line(f"{name} is called {model.name} now")


def stage(
    ref: Annotated[str, typer.Argument(metavar="VERSION", help="The version: delay@3 or model:ID.")],
    to: Annotated[str, typer.Argument(metavar="STAGE", help="None, Staging, Production or Archived.")],
    archive: Annotated[bool, typer.Option("--archive", help="Archive the other versions of that stage.")] = False,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Move a version to one of MLflow's deprecated stages; an alias says it better."""
    with open_workspace() as workspace:
        version = move_to_stage(workspace.store, ref, to, archive=archive, reason=reason)
    if json:
        write_json({"version": version.ref, "stage": version.stage})
        return
    write_line(f"{version.ref} is in {version.stage or 'no stage'}")


def remove(
    name: Name,
    held: Annotated[bool, typer.Option("--held", help="Although aliases are on its versions.")] = False,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Remove a model with all its versions; no number of theirs is given again."""
    with open_workspace() as workspace:
        model = remove_model(workspace.store, name, held=held, reason=reason)
    if json:
        write_json({"removed": model.name, "versions": model.versions})
        return
    write_line(f"removed {model.name} with {model.versions} versions; `charkh gc` frees their bytes")


def _pairs(texts: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise Invalid(f"{text!r} is no tag", code="model.bad_tag", hint="Write NAME=VALUE, or NAME= to remove it.")
        found[name] = value or None
    return found
