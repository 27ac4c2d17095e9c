"""The overview as one plain page: no script, nothing from anywhere else. Pure: an overview in, HTML out."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from charkh.workspace.overview import Overview

STYLE = """
:root { color-scheme: light dark; --ink:#1b1f24; --soft:#5b6570; --paper:#fff; --line:#d9dee3; --good:#12715b;
 --bad:#b3402a; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ec; --soft:#9aa5b0; --paper:#15181c; --line:#333a41;
 --good:#4fc3a1; --bad:#f08a70; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
 font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
}
"""What the pages say beside `charkh.server.front.HEADERS`: their own style is allowed, by its digest."""


def overview_page(found: Overview) -> str:
    """The page of a workspace."""
    parts = [
        f"<h1>{escape(found.folder.name)}</h1><p class=soft>{escape(str(found.folder))}</p>",
        "<p class=bad>Another process is writing; its newest facts are not in this page yet.</p>"
        if found.stale
        else "",
        _section(
            "Endpoints",
            ("endpoint", "answers with", "since", "deployments", "predictions sealed"),
            (
                (
                    each.name,
                    each.current.made.model if each.current is not None else "stopped",
                    _time(each.current.at) if each.current is not None else "",
                    str(each.deployments),
                    f"{each.sealed:,}",
                )
                for each in found.endpoints
            ),
        ),
        _section(
            "Models",
            ("model", "versions", "latest", "aliases", "registered"),
            (
                (
                    each.name,
                    str(each.versions),
                    each.latest.ref,
                    ", ".join(f"{alias} is {number}" for alias, number in sorted(each.aliases.items())),
                    _time(each.latest.created),
                )
                for each in found.models
            ),
        ),
        _section(
            "Decisions of loops",
            ("when", "loop", "outcome", "reason"),
            (
                (
                    _time(each.decided.moment),
                    each.decided.loop,
                    each.decided.outcome,
                    each.decided.reason,
                )
                for each in found.decisions
            ),
        ),
        _section(
            "Alerts",
            ("for", "monitor", "condition", "reason"),
            (
                (_time(each.made.moment), each.made.monitor, each.made.condition, each.made.reason)
                for each in found.alerts
            ),
        ),
        _section(
            "Evaluations",
            ("when", "model", "rows", "scores"),
            (
                (
                    _time(each.at),
                    each.made.model or each.made.about,
                    f"{each.made.rows:,}",
                    ", ".join(
                        f"{score.metric} {score.value:.4g}" for score in each.made.scores if score.value is not None
                    ),
                )
                for each in found.evaluations
            ),
        ),
        _section(
            "Runs",
            ("run", "name", "status", "started", "metrics"),
            (
                (
                    each.id[-8:],
                    each.name,
                    each.status,
                    _time(each.created),
                    ", ".join(f"{key} {value:.4g}" for key, value in sorted(each.metrics.items())[:6]),
                )
                for each in found.runs
            ),
        ),
        _section(
            "Datasets",
            ("dataset", "versions", "latest", "rows", "files", "size"),
            (
                (
                    each.name,
                    str(each.versions),
                    ", ".join(version.ref for version in each.latest),
                    f"{each.latest[0].made.rows:,}" if each.latest and each.latest[0].made.rows is not None else "",
                    f"{each.latest[0].made.tree.files:,}" if each.latest else "",
                    f"{each.latest[0].made.tree.size / 1e6:,.1f} MB" if each.latest else "",
                )
                for each in found.datasets
            ),
        ),
    ]
    return _page(f"{found.folder.name} · charkh", "".join(parts))


def sign_in_page() -> str:
    """What somebody without the token reads."""
    return _page(
        "charkh",
        "<h1>charkh</h1><p>Open the link that <code>charkh up</code> printed in its terminal: it carries the token "
        "of this workspace. Programs send it as <code>Authorization: Bearer …</code>.</p>",
    )


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    listed = list(rows)
    if not listed:
        return f"<h2>{escape(title)}</h2><p class=soft>none yet</p>"
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in listed)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f"<h2>{escape(title)}</h2><div class=scroll>{table}</div>"


def _cell(text: str) -> str:
    kind = {"promoted": " class=good", "finished": " class=good", "refused": " class=bad", "failed": " class=bad"}
    return f"<td{kind.get(text, '')}>{escape(text)}</td>"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
