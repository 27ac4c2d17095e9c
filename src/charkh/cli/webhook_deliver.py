"""`charkh webhook test | log | resend | deliver`: what was sent, what came of it, and sending by hand."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_count, shown_time, write_json, write_line, write_note, write_table
from charkh.core.errors import Conflict, NotFound, Unavailable
from charkh.ports.outbox import Attempt, Delivery

Name = Annotated[str, typer.Argument(help="Name or id of the webhook.")]


def test(
    name: Name,
    event: Annotated[str, typer.Option(help="The kind that it says it is; the first one by default.")] = "",
    json: AsJson = False,
) -> None:
    """Send a letter about nothing, once, and say what came of it.

    What the receiver says beside its status is not read.
    """
    # As in `charkh.cli.webhook`.
    from charkh.server.delivering import deliverer_of
    from charkh.webhooks.find import find
    from charkh.webhooks.schedule import succeeded
    from charkh.workspace.outgoing import outbox_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        webhook = find(workspace.store, name)
        outbox = outbox_of(workspace)
        attempt = deliverer_of(workspace, outbox).test(webhook, event)
        outbox.close()
    if json:
        write_json({"success": succeeded(attempt.status), **_attempt_shown(attempt)})
    elif succeeded(attempt.status):
        write_line(f"{webhook.name} took it: {attempt.status} after {attempt.seconds:.2f} s")
    if not succeeded(attempt.status):
        raise Unavailable(
            f"{webhook.name} did not take it: {outcome_of(attempt)}",
            code="webhook.not_taken",
            hint="Look at the address, at [egress] in charkh.toml, and at the receiver's own log.",
        )


def log(
    name: Name,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 50,
    dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False,
    message: Annotated[str, typer.Option(help="Every attempt of this letter.")] = "",
    json: AsJson = False,
) -> None:
    """List what was sent, newest first, and what came of it."""
    from charkh.webhooks.find import find
    from charkh.workspace.outgoing import outbox_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        webhook = find(workspace.store, name)
        outbox = outbox_of(workspace)
        found = outbox.history(webhook.id, 1_000_000 if message else limit, state="dead" if dead else "")
        if message:
            found = [each for each in found if each.parcel.message == message]
        attempts = {each.number: outbox.attempts(each.number) for each in found} if message else {}
        outbox.close()
    if message and not found:
        raise _no_letter(message, name)
    if json:
        listed = [delivery_shown(each) for each in found]
        for each, told in zip(found, listed, strict=True):
            if message:
                told["tries"] = [_attempt_shown(attempt) for attempt in attempts[each.number]]
        write_json(listed)
    elif message:
        rows = [[shown_time(each.at), outcome_of(each), each.seconds] for each in attempts[found[0].number]]
        write_table(["at", "outcome", "seconds"], rows, empty="not sent yet")
    else:
        write_deliveries(found)


def resend(
    name: Name,
    message: Annotated[str, typer.Option(help="This letter; every one that was given up by default.")] = "",
    json: AsJson = False,
) -> None:
    """Send what was given up once more, under the same ids."""
    import time

    from charkh.webhooks.find import find
    from charkh.workspace.outgoing import outbox_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        webhook = find(workspace.store, name)
        outbox = outbox_of(workspace)
        count = outbox.again(webhook.id, message, time.time())
        outbox.close()
    if message and not count:
        raise _no_letter(message, name)
    if json:
        write_json({"webhook": webhook.name, "waiting": count})
        return
    write_line(f"{shown_count(count, 'letter')} of {webhook.name} will be sent again")
    if count:
        write_note("they go out while `charkh up` runs, or now with: charkh webhook deliver")


def deliver(json: AsJson = False) -> None:
    """Send what is due now, without a server.

    A timer of the system may run it; what fails waits for its next attempt.
    """
    from charkh.server.delivering import deliverer_of
    from charkh.workspace.notifying import deliver_once
    from charkh.workspace.outgoing import outbox_of

    with open_own_workspace("webhooks are sent", "/api/webhooks") as workspace:
        outbox = outbox_of(workspace)
        with outbox.lead() as leads:
            if not leads:
                raise Conflict(
                    "a server of this store delivers already",
                    code="webhook.delivered_elsewhere",
                    hint="There is nothing to do; `charkh webhook log NAME` shows what it sends.",
                )
            outcomes = deliver_once(deliverer_of(workspace, outbox), outbox)
        outbox.close()
    if json:
        write_json({name: outcome._asdict() for name, outcome in outcomes.items()})
        return
    write_table(
        ["webhook", "delivered", "waiting", "given up"],
        [[name, *outcome] for name, outcome in sorted(outcomes.items())],
        empty="nothing is due",
    )


def write_deliveries(found: Sequence[Delivery]) -> None:
    """A table of deliveries."""
    write_table(
        ["queued", "event", "subject", "state", "attempts", "outcome", "next", "letter"],
        [
            [
                shown_time(each.queued),
                each.parcel.kind.partition("/")[0],
                each.parcel.subject,
                each.state,
                each.attempts,
                outcome_of(each.last),
                shown_time(each.due) if each.state == "pending" else "",
                each.parcel.message,
            ]
            for each in found
        ],
        empty="nothing was sent yet",
    )


def delivery_shown(delivery: Delivery) -> dict[str, object]:
    """A delivery without its bytes."""
    parcel = delivery.parcel
    return {
        "message": parcel.message,
        "event": parcel.event,
        "kind": parcel.kind,
        "subject": parcel.subject,
        "bytes": len(parcel.body),
        "state": delivery.state,
        "queued": delivery.queued,
        "due": delivery.due,
        "attempts": delivery.attempts,
        "last": None if delivery.last is None else _attempt_shown(delivery.last),
    }


def outcome_of(attempt: Attempt | None) -> str:
    """What came of an attempt, in a word or sentence."""
    if attempt is None:
        return ""
    return attempt.error or str(attempt.status)


def _attempt_shown(attempt: Attempt) -> dict[str, object]:
    return {"at": attempt.at, "status": attempt.status, "seconds": attempt.seconds, "error": attempt.error}


def _no_letter(message: str, name: str) -> NotFound:
    return NotFound(
        f"{name} was sent no letter {message[:80]}",
        code="webhook.letter_not_found",
        hint=f"`charkh webhook log {name}` lists them.",
    )
