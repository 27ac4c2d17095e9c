"""`charkh webhook`: who outside is told what happens, and what became of each delivery."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_note, write_pairs, write_table
from charkh.cli.webhook_deliver import deliver, delivery_shown, log, resend, test, write_deliveries
from charkh.core.errors import Invalid, Unavailable
from charkh.webhooks.webhook import ACTIVE, CLOUDEVENTS, DISABLED, Filter, Terms, Webhook

app = typer.Typer(no_args_is_help=True, help="Who outside is told what happens.")

Name = Annotated[str, typer.Argument(help="Name or id of the webhook.")]
On = Annotated[
    list[str] | None, typer.Option("--on", help="A kind of event, such as run.ended or model.*; repeatable.")
]
Tag = Annotated[list[str] | None, typer.Option(help="NAME=PATTERN that a tag must match; repeatable.")]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the secret that signs, or the mail server's password; - for stdin.",
        allow_dash=True,
        dir_okay=False,
    ),
]

EVENTS = ("run.ended", "model.version", "model.alias_moved", "dataset.version", "alert.raised")
ALERTS = ("alert.raised", "alert.resolved")
"""What is told where nobody says it, and to whom alerts alone are of use."""


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the webhook.")],
    url: Annotated[str, typer.Argument(help="Where it is sent; env:NAME for what a variable holds now.")],
    on: On = None,
    subject: Annotated[str, typer.Option(help="Only facts about such subjects, such as model:*.")] = "",
    of: Annotated[str, typer.Option(help="Only facts about things of such a name, such as delay*.")] = "",
    tag: Tag = None,
    form: Annotated[str, typer.Option("--format", help="cloudevents, slack, email or alertmanager.")] = CLOUDEVENTS,
    secret_file: SecretFile = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Do not sign what is sent.")] = False,
    description: Annotated[str, typer.Option("--description", "-m", help="What it is for.")] = "",
    json: AsJson = False,
) -> None:
    """Tell an address what happens from now on.

    It is sent while `charkh up` runs, or by `charkh webhook deliver`. Its host must stand in [egress] of charkh.toml.
    Without --secret-file a secret is made and shown once; give it to the receiver.
    """
    # The room is imported by the command that needs it; sending needs HTTP and SQL.
    from charkh.server.delivering import forms_of
    from charkh.webhooks import add as adding
    from charkh.webhooks.secrets import new_secret
    from charkh.webhooks.webhook import EMAIL, SLACK
    from charkh.workspace.outgoing import sender_of

    terms = Terms(
        name=name,
        url=_address(url),
        events=tuple(on or (ALERTS if form == "alertmanager" else EVENTS)),
        filter=Filter(subject=subject, name=of, tags=_tags(tag)),
        format=form,
        description=description,
    )
    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        told = workspace.settings.webhook.get(name)
        given = _secret(secret_file)
        made = "" if given or unsigned or form in (SLACK, EMAIL) or (told and told.secret_env) else new_secret()
        sender = sender_of(workspace, tuple(forms_of(workspace)))
        webhook = adding.add(workspace.store, sender, terms, secret=given or made)
    if json:
        write_json({**_shown(webhook), **({"secret": made} if made else {})})
        return
    write_line(f"{webhook.name} is told of {', '.join(webhook.terms.events)}")
    if made:
        write_line(f"its secret, shown this once: {made}")
    write_note(f"next: charkh webhook test {webhook.name}")


@app.command("list")
def list_webhooks(json: AsJson = False) -> None:
    """List the webhooks."""
    from charkh.webhooks.index import Webhooks
    from charkh.workspace.outgoing import home_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        found = workspace.store.queries.ask(Webhooks())
        home = home_of(workspace)
    if json:
        write_json([_shown(each) for each in found])
        return
    write_table(
        ["webhook", "status", "events", "format", "url", "sent by"],
        [
            [each.name, each.terms.status, each.terms.events, each.terms.format, each.terms.url, _by(each, home)]
            for each in found
        ],
        empty="no webhooks yet; charkh webhook add NAME URL --on run.ended",
    )


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show a webhook and its newest deliveries."""
    from charkh.webhooks.find import find
    from charkh.workspace.outgoing import home_of, outbox_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        webhook = find(workspace.store, name)
        outbox = outbox_of(workspace)
        deliveries = outbox.history(webhook.id, 10)
        home = home_of(workspace)
        outbox.close()
    if json:
        write_json({**_shown(webhook), "deliveries": [delivery_shown(each) for each in deliveries]})
        return
    terms = webhook.terms
    write_pairs(
        [
            ("name", terms.name),
            ("id", webhook.id),
            ("url", terms.url),
            ("status", f"{terms.status} ({webhook.reason})" if webhook.reason else terms.status),
            ("events", terms.events),
            *((("subject", terms.filter.subject),) if terms.filter.subject else ()),
            *((("of", terms.filter.name),) if terms.filter.name else ()),
            *((f"tag {tag}", pattern) for tag, pattern in terms.filter.tags.items()),
            ("format", terms.format),
            ("signed", terms.signed),
            ("made by", f"{webhook.actor}, {shown_time(webhook.created)}"),
            ("sent by", _by(webhook, home)),
            *((("description", terms.description),) if terms.description else ()),
        ]
    )
    write_deliveries(deliveries)


@app.command()
def change(
    name: Name,
    url: Annotated[str, typer.Option(help="Another address; env:NAME for what a variable holds now.")] = "",
    on: On = None,
    subject: Annotated[str | None, typer.Option(help="Other subjects; empty for any.")] = None,
    of: Annotated[str | None, typer.Option(help="Other names; empty for any.")] = None,
    tag: Tag = None,
    secret_file: SecretFile = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Send, or send nothing.")] = None,
    description: Annotated[str | None, typer.Option("--description", "-m", help="What it is for.")] = None,
    json: AsJson = False,
) -> None:
    """Change a webhook; what is not said stays.

    What happens while it is disabled is not sent later; letters that wait are sent when it is enabled again.
    """
    from charkh.server.delivering import forms_of
    from charkh.webhooks import change as changing
    from charkh.webhooks.find import find
    from charkh.workspace.outgoing import sender_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        terms = find(workspace.store, name).terms
        narrow = terms.filter
        terms = msgspec.structs.replace(
            terms,
            events=tuple(on) if on else terms.events,
            filter=Filter(
                subject=narrow.subject if subject is None else subject,
                name=narrow.name if of is None else of,
                tags=_tags(tag) if tag else narrow.tags,
            ),
            status=terms.status if enable is None else ACTIVE if enable else DISABLED,
            description=terms.description if description is None else description,
        )
        sender = sender_of(workspace, tuple(forms_of(workspace)))
        address, secret = _address(url) if url else "", _secret(secret_file)
        webhook = changing.change(workspace.store, sender, name, terms, url=address, secret=secret)
    if json:
        write_json(_shown(webhook))
        return
    write_line(f"{webhook.name} is {webhook.terms.status}, told of {', '.join(webhook.terms.events)}")


@app.command()
def remove(name: Name, json: AsJson = False) -> None:
    """Remove a webhook, its secret, and what waits for it."""
    from charkh.webhooks import remove as removing
    from charkh.workspace.outgoing import outbox_of, sender_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        outbox = outbox_of(workspace)
        webhook = removing.remove(workspace.store, sender_of(workspace), outbox, name)
        outbox.close()
    if json:
        write_json(_shown(webhook))
        return
    write_line(f"{webhook.name} is removed")


app.command()(test)
app.command()(log)
app.command()(resend)
app.command()(deliver)


def _shown(webhook: Webhook) -> dict[str, object]:
    fields = {"id", "home", "actor", "created", "updated", "reason"}
    told = {field: getattr(webhook, field) for field in webhook.__struct_fields__ if field in fields}
    return {**msgspec.to_builtins(webhook.terms), **told}


def _by(webhook: Webhook, home: str) -> str:
    return "this store" if webhook.home == home else f"store {webhook.home[:8]}"


def _address(given: str) -> str:
    """The address itself, or what a variable holds: a secret one does not stand on a command line."""
    if not given.startswith("env:"):
        return given
    value = os.environ.get(given.removeprefix("env:"), "")
    if not value:
        raise Invalid(f"the variable {given.removeprefix('env:')} is not set", code="webhook.variable", hint="Set it.")
    return value


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"cannot read {path}", code="webhook.secret", hint="Name a file with a line of text."
        ) from error
    return text.strip()


def _tags(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        name, sign, pattern = each.partition("=")
        if not sign:
            raise Invalid(f"{each!r} is no NAME=PATTERN", code="webhook.filter", hint="Such as --tag team=flights.")
        found[name] = pattern
    return found
