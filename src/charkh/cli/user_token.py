"""`charkh user token`: made and shown once, listed without their secrets, revoked."""

import time
from typing import Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_note, write_table
from charkh.core.quantities import parse_duration
from charkh.users.find import find_user
from charkh.users.token import make_token, parse_limit, revoke_token
from charkh.users.user import Token

app = typer.Typer(no_args_is_help=True, help="Tokens of a user: made, listed, revoked.")

Name = Annotated[str, typer.Argument(help="Name or id of the user.")]


@app.callback()
def group() -> None:
    """Tokens of a user: made, listed, revoked."""


@app.command()
def make(
    name: Name,
    label: Annotated[str, typer.Option(help="What it is for, such as laptop.")] = "",
    expires: Annotated[str, typer.Option(help="How long it counts, such as 90d; for ever by default.")] = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="What it may do of what its user may: writer, reader:flights/; several times for several."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a token and show it, this once."""
    limits = [parse_limit(text) for text in limit] if limit else None
    until = time.time() + parse_duration(expires) if expires else 0.0
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        minted = make_token(workspace.store, name, label=label, limits=limits, expires=until)
    if json:
        write_json(minted)
        return
    write_line(minted.secret)
    write_note(f"  shown once; revoke it with: charkh user token revoke {minted.id}")
    write_note(f"  export CHARKH_TOKEN={minted.secret}")
    write_note(f"  export MLFLOW_TRACKING_TOKEN={minted.secret}")


@app.command("list")
def list_all(name: Name, json: AsJson = False) -> None:
    """List a user's tokens; their secrets are nowhere."""
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        found = find_user(workspace.store, name).tokens
    if json:
        write_json([_bare(token) for token in found])
        return
    write_table(
        ["token", "label", "limits", "made", "until"],
        [[each.id, each.label, _limits(each), shown_time(each.created), _until(each)] for each in found],
        empty="no tokens",
    )


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Id of the token, or the token itself.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")] = "",
    json: AsJson = False,
) -> None:
    """Let a token be worth nothing from now on, with the browser sessions that stand on it."""
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        revoked = revoke_token(workspace.store, token, reason=reason)
    if json:
        write_json(_bare(revoked))
    else:
        write_line(f"revoked {revoked.id}")


def _limits(token: Token) -> str:
    if token.limits is None:
        return "none"
    return ", ".join(f"{each.role} over {each.scope.removeprefix('project:')}" for each in token.limits)


def _until(token: Token) -> str:
    if token.revoked is not None:
        return f"revoked {shown_time(token.revoked)}"
    return shown_time(token.expires) if token.expires else "for ever"


def _bare(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "user": token.user,
        "label": token.label,
        "limits": None if token.limits is None else [{"role": each.role, "scope": each.scope} for each in token.limits],
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
    }
