"""`charkh remote`: the places to exchange with, and the keys that encrypt them."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_size,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)

app = typer.Typer(no_args_is_help=True, help="Other places to exchange facts and bytes with.")

Name = Annotated[str, typer.Argument(help="The remote's name in charkh.toml.")]


@app.command()
def add(
    name: Name,
    address: Annotated[
        str,
        typer.Argument(
            help="A folder, a file that ends in .bundle, s3://bucket/prefix, gs://…, az://…, ssh://host/folder, or the "
            "address of a `charkh up`."
        ),
    ],
    key: Annotated[str, typer.Option(help="File of the key that encrypts everything there, or env:NAME.")] = "",
    default: Annotated[bool, typer.Option("--default", help="`charkh sync` without a name means this one.")] = False,
    json: AsJson = False,
) -> None:
    """Write a remote into charkh.toml.

    It is opened once; an empty folder or bucket becomes a remote.
    """
    # The TOML writer and the media are imported by the command that needs them.
    from charkh.workspace.remote_settings import add_remote

    with open_workspace() as workspace:
        added = add_remote(workspace, name, address, key=key, default=default)
    if json:
        write_json({"remote": name, "address": added.address})
        return
    write_line(f"remote {name} is {added.address}")
    write_note(f"next: charkh sync {name}")


@app.command("list")
def list_remotes(json: AsJson = False) -> None:
    """List the remotes of charkh.toml."""
    # As above.
    from charkh.core.redact import redact
    from charkh.workspace.remotes import named_remotes

    with open_workspace() as workspace:
        found = named_remotes(workspace)
    rows = [
        {"remote": name, "address": redact(each.url), "encrypted": bool(each.key), "default": each.default}
        for name, each in sorted(found.items())
    ]
    if json:
        write_json(rows)
        return
    write_table(
        ["remote", "address", "encrypted", "default"],
        [list(row.values()) for row in rows],
        empty="no remote yet: charkh remote add NAME ADDRESS",
    )


@app.command()
def show(
    remote: Annotated[str, typer.Argument(help="A name or address; the default one when left out.")] = "",
    json: AsJson = False,
) -> None:
    """Look at what a remote has: facts, packs, and what differs from here."""
    # As above.
    from charkh.workspace.remote_settings import look_at

    with open_workspace() as workspace:
        found = look_at(workspace, remote)
    if json:
        write_json(found)
        return
    write_pairs(
        [
            ("remote", f"{found.remote} ({found.address})"),
            ("facts", shown_count(found.facts, "fact")),
            ("bytes", f"{shown_size(found.size)} in {shown_count(found.packs, 'pack')}"),
            ("not here", shown_count(found.facts_lacking_here, "fact")),
            ("not there", shown_count(found.facts_lacking_there, "fact")),
        ]
    )


@app.command()
def forget(name: Name, json: AsJson = False) -> None:
    """Forget what is remembered of a remote on this machine.

    The remote itself, charkh.toml and the store stay as they are; the next sync compares everything anew.
    """
    # As above.
    from charkh.workspace.remote_settings import forget_remote

    with open_workspace() as workspace:
        forget_remote(workspace, name)
    if json:
        write_json({"remote": name})
        return
    write_line(f"what was remembered of {name} is forgotten")


@app.command("new-key")
def new_key(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")], json: AsJson = False
) -> None:
    """Make a key that encrypts a remote.

    Whoever syncs with the remote needs the same file; without it nobody can read the remote any more.
    """
    # As above.
    from charkh.workspace.remote_settings import new_remote_key

    new_remote_key(file)
    if json:
        write_json({"key": str(file)})
        return
    write_line(f"wrote a new key to {file}")
    write_note("keep a copy where the remote is not, and out of version control: without it the remote is lost")
