"""`charkh user`: users and service accounts, their roles and tokens; whoever runs it owns the store."""

from typing import Annotated

import typer

from charkh.cli.groups import WholeSentences
from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_note, write_pairs, write_table
from charkh.cli.user_token import app as tokens
from charkh.users.caller import Grant
from charkh.users.find import find_user, list_users
from charkh.users.make import grant as give_role
from charkh.users.make import make_user, set_disabled
from charkh.users.user import User

app = typer.Typer(no_args_is_help=True, help="Users and service accounts: roles, tokens.")
app.add_typer(tokens, name="token", help="Tokens of a user: made, listed, revoked.", cls=WholeSentences)

Name = Annotated[str, typer.Argument(help="Name or id of the user.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence.")]


@app.callback()
def group() -> None:
    """Users and service accounts: roles, tokens."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="As it will stand in what the user records, such as ann@example.org.")],
    service: Annotated[bool, typer.Option("--service", help="A service account instead of a person.")] = False,
    role: Annotated[str, typer.Option(help="Role that it has at once: reader, writer or admin.")] = "",
    scope: Annotated[
        str, typer.Option(help="What the role is over: *, a project such as flights/, model:delay*.")
    ] = "*",
    json: AsJson = False,
) -> None:
    """Make a user; the first one makes this the store of a team."""
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        first = not list_users(workspace.store)
        user = make_user(workspace.store, name, sort="service" if service else "person")
        if role:
            user = give_role(workspace.store, user.id, role, scope)
    if json:
        write_json(_bare(user))
        return
    write_line(f"made {user.name}: {_roles(user.grants)}")
    if first:
        write_note("the token of charkh up stays the owner's key; everybody else needs a user now")
    write_note(f"next: charkh user token make {user.name}")


@app.command("list")
def list_all(json: AsJson = False) -> None:
    """List the users with their roles."""
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        found = list_users(workspace.store)
    if json:
        write_json([_bare(user) for user in found])
        return
    write_table(
        ["name", "sort", "roles", "tokens", "made", "made by"],
        [
            [
                f"{user.name} (disabled)" if user.disabled else user.name,
                user.sort,
                _roles(user.grants),
                sum(token.revoked is None for token in user.tokens),
                shown_time(user.created),
                user.made_by,
            ]
            for user in found
        ],
        empty="nobody: the owner's token is the only key",
    )


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show one user."""
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        user = find_user(workspace.store, name)
    if json:
        write_json(_bare(user))
        return
    write_pairs(
        [
            ("name", user.name),
            ("id", user.id),
            ("sort", user.sort),
            ("roles", _roles(user.grants)),
            ("disabled", user.disabled),
            ("made", f"{shown_time(user.created)} by {user.made_by}"),
            *((("provider", f"{user.issuer} ({user.external})"),) if user.issuer else ()),
        ]
    )


@app.command()
def grant(
    name: Name,
    role: Annotated[str, typer.Argument(help="reader, writer or admin.")],
    scope: Annotated[str, typer.Argument(help="*, a project such as flights/, or names such as model:delay*.")] = "*",
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Let a user have a role over a scope, in place of the one it has there."""
    _granted(name, role, scope, reason, json=json)


@app.command()
def revoke(
    name: Name,
    scope: Annotated[
        str, typer.Argument(help="The scope whose role is taken away, as `charkh user show` names it.")
    ] = "*",
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Take away the role that a user has over exactly this scope."""
    _granted(name, "", scope, reason, json=json)


@app.command()
def disable(name: Name, reason: Reason = "", json: AsJson = False) -> None:
    """Shut a user out at once, with every token and session."""
    _disabled(name, True, reason, json=json)


@app.command()
def enable(name: Name, reason: Reason = "", json: AsJson = False) -> None:
    """Let a user in again who was shut out."""
    _disabled(name, False, reason, json=json)


def _granted(name: str, role: str, scope: str, reason: str, *, json: bool) -> None:
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        user = give_role(workspace.store, name, role, scope, reason=reason)
    if json:
        write_json(_bare(user))
    else:
        write_line(f"{user.name}: {_roles(user.grants)}")


def _disabled(name: str, disabled: bool, reason: str, *, json: bool) -> None:
    with open_own_workspace("users and their tokens are kept", "/api/users") as workspace:
        user = set_disabled(workspace.store, name, disabled=disabled, reason=reason)
    if json:
        write_json(_bare(user))
    else:
        write_line(f"{user.name} {'is shut out' if user.disabled else 'may come in'}")


def _roles(grants: tuple[Grant, ...]) -> str:
    return ", ".join(f"{each.role} over {each.scope.removeprefix('project:')}" for each in grants) or "no role"


def _bare(user: User) -> dict[str, object]:
    """A user for JSON, without the digests of tokens."""
    return {
        "id": user.id,
        "name": user.name,
        "sort": user.sort,
        "disabled": user.disabled,
        "grants": [{"role": each.role, "scope": each.scope} for each in user.grants],
        "tokens": [{"id": each.id, "label": each.label, "revoked": each.revoked is not None} for each in user.tokens],
        "created": user.created,
        "made_by": user.made_by,
    }
