"""The overview as one plain page: no script, nothing from anywhere else. Pure: an overview in, HTML out."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from charkh.runs.run import LargeValue, json_text, logged_metrics
from charkh.workspace.overview import Overview

STYLE = """
:root { color-scheme: light dark; --ink:#1b1f24; --soft:#5b6570; --paper:#fff; --line:#d9dee3; --good:#12715b;
 --bad:#b3402a; --tile:#f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ec; --soft:#9aa5b0; --paper:#15181c; --line:#333a41;
 --good:#4fc3a1; --bad:#f08a70; --tile:#1e2328; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
 font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem; }
p { margin: .2rem 0; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, monospace; background: var(--tile); padding: .1rem .3rem; border-radius: 3px; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 0; padding: 0; list-style: none; }
.tiles li { background: var(--tile); border-radius: 6px; padding: .5rem .9rem; min-width: 6rem; color: var(--soft); }
.tiles b { display: block; font-size: 1.35rem; font-weight: 600; color: var(--ink); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; min-width: 60%; font-size: .92rem; }
th, td { text-align: left; padding: .35rem 1.1rem .35rem 0; border-bottom: 1px solid var(--line);
 vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td { max-width: 32rem; overflow-wrap: break-word; }
td.fixed, td.count { white-space: nowrap; } th.count, td.count { text-align: right; padding-right: 2.4rem;
 font-variant-numeric: tabular-nums; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
}
"""What the pages say beside `charkh.server.front.HEADERS`: their own style is allowed, by its digest."""

Row = Sequence[str]
SHORT_ID = 18
"""Characters of an id that tell it apart, from its beginning: every verb takes them."""

FIRST_STEPS = """
<h2>Nothing has happened here yet</h2>
<p>Version a file: <code>charkh dataset add flights flights.csv</code></p>
<p>Record a run: <code>with charkh.run(): charkh.log(loss=0.3)</code></p>
<p>Register a model: <code>charkh.register("delay", model)</code>, and serve it with an
<code>[endpoint.delay]</code> in <code>charkh.toml</code>.</p>
"""

OUTCOMES = {"promoted": "good", "finished": "good", "refused": "bad", "failed": "bad", "lost": "bad"}
FIXED = frozenset({"when", "since", "for", "started", "registered", "run", "status", "outcome", "latest"})
"""Columns that are never broken into lines."""
COUNTS = frozenset({"versions", "rows", "files", "size", "deployments", "sealed predictions"})


_RUNS = ("run", "name", "project", "status", "started", "params", "metrics")
SHOWN_VALUES = 6
"""Params and metrics of a run that stand in its line."""
SHOWN_LETTERS = 40
"""Of a param's value."""


def overview_page(found: Overview) -> str:
    """The page of a workspace."""
    head = f"<h1>{escape(found.folder.name)}</h1><p class=soft>{escape(str(found.folder))}</p>"
    if found.stale:
        head += "<p class=bad>Another process is writing; its newest facts are not in this page yet.</p>"
    sections = _sections(found)
    shown = [(title, heads, rows) for title, heads, rows in sections if rows]
    if not shown:
        return _page(f"{found.folder.name} · charkh", head + FIRST_STEPS)
    body = "".join(_table(title, heads, rows) for title, heads, rows in shown)
    missing = ", ".join(title.lower() for title, _, rows in sections if not rows)
    end = f"<p class=soft>Nothing yet of: {escape(missing)}.</p>" if missing else ""
    return _page(f"{found.folder.name} · charkh", head + _tiles(found) + body + end)


def sign_in_page(*, by_provider: bool = False) -> str:
    """What somebody without a token reads; `by_provider` where one can sign in at an OpenID provider."""
    link = '<p><a href="/sign-in">Sign in</a></p>' if by_provider else ""
    return _page(
        "charkh",
        "<h1>charkh</h1><p>Open the link that <code>charkh up</code> printed in its terminal: it carries the token "
        f"of this workspace. Programs send it as <code>Authorization: Bearer …</code>.</p>{link}",
    )


def signed_in_page(name: str) -> str:
    """What somebody reads whom a provider has vouched for; it leads on by itself."""
    said = f"<h1>charkh</h1><p>Signed in as <code>{escape(name)}</code>: <a href='/'>go on</a>.</p>"
    return _page("charkh", f'<meta http-equiv="refresh" content="0;url=/">{said}')


def visitor_page(name: str) -> str:
    """What somebody reads whose role is not over the whole workspace."""
    return _page(
        "charkh",
        f"<h1>charkh</h1><p>You are signed in as <code>{escape(name)}</code>. This page shows the whole workspace, "
        "which your role does not reach; programs reach what it does.</p>",
    )


def _sections(found: Overview) -> list[tuple[str, Row, list[Row]]]:
    """Title, column heads and rows of each section, what matters most first."""
    return [
        ("Endpoints", ("endpoint", "answers with", "since", "deployments", "sealed predictions"), _endpoints(found)),
        ("Alerts", ("for", "monitor", "condition", "reason"), _alerts(found)),
        ("Decisions of loops", ("for", "loop", "outcome", "reason"), _decisions(found)),
        ("Models", ("model", "versions", "latest", "aliases", "registered"), _models(found)),
        ("Evaluations", ("when", "model", "rows", "scores"), _evaluations(found)),
        ("Runs", _RUNS, _runs(found)),
        ("Datasets", ("dataset", "versions", "latest", "rows", "files", "size"), _datasets(found)),
    ]


def _endpoints(found: Overview) -> list[Row]:
    return [
        (
            each.name,
            found.names.get(each.current.made.model, each.current.made.model) if each.current else "stopped",
            _time(each.current.at) if each.current else "",
            str(each.deployments),
            f"{each.sealed:,}",
        )
        for each in found.endpoints
    ]


def _alerts(found: Overview) -> list[Row]:
    return [
        (_time(each.made.moment), each.made.monitor, each.made.condition, each.made.reason) for each in found.alerts
    ]


def _decisions(found: Overview) -> list[Row]:
    return [
        (_time(each.decided.moment), each.decided.loop, each.decided.outcome, each.decided.reason)
        for each in found.decisions
    ]


def _models(found: Overview) -> list[Row]:
    return [
        (
            each.name,
            str(each.versions),
            "" if each.latest is None else each.latest.ref,
            ", ".join(f"{alias} is {number}" for alias, number in sorted(each.aliases.items())),
            _time(each.created if each.latest is None else each.latest.created),
        )
        for each in found.models
    ]


def _evaluations(found: Overview) -> list[Row]:
    return [
        (
            _time(each.at),
            found.names.get(each.made.about, each.made.model or each.made.about),
            f"{each.made.rows:,}",
            _scores((score.metric, score.value) for score in each.made.scores),
        )
        for each in found.evaluations
    ]


def _runs(found: Overview) -> list[Row]:
    return [
        (
            each.id[:SHORT_ID],
            each.name,
            found.projects.get(each.project, ""),
            each.status,
            _time(each.created),
            _values((name, _word(value)) for name, value in each.params.items()),
            _values((name, f"{value:.4g}") for name, value in sorted(logged_metrics(each.metrics).items())),
        )
        for each in found.runs
    ]


def _datasets(found: Overview) -> list[Row]:
    return [
        (
            each.name,
            str(each.versions),
            ", ".join(version.ref for version in each.latest),
            "" if not each.latest or each.latest[0].made.rows is None else f"{each.latest[0].made.rows:,}",
            f"{each.latest[0].made.tree.files:,}" if each.latest else "",
            _size(each.latest[0].made.tree.size) if each.latest else "",
        )
        for each in found.datasets
    ]


def _tiles(found: Overview) -> str:
    counts = [
        ("datasets", len(found.datasets)),
        ("models", len(found.models)),
        ("endpoints", len(found.endpoints)),
        ("runs below", len(found.runs)),
        ("alerts below", len(found.alerts)),
    ]
    return "<ul class=tiles>" + "".join(f"<li><b>{count}</b>{label}</li>" for label, count in counts) + "</ul>"


def _table(title: str, heads: Row, rows: Iterable[Row]) -> str:
    kinds = [_kind(head) for head in heads]
    top = "".join(f"<th{_class(kind)}>{escape(head)}</th>" for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True)) + "</tr>" for row in rows
    )
    return (
        f"<h2>{escape(title)}</h2><div class=scroll>"
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _kind(head: str) -> str:
    return "count" if head in COUNTS else "fixed" if head in FIXED else ""


def _cell(text: str, kind: str) -> str:
    return f"<td{_class(kind, OUTCOMES.get(text, ''))}>{escape(text)}</td>"


def _class(*names: str) -> str:
    given = " ".join(name for name in names if name)
    return f' class="{given}"' if given else ""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _scores(scores: Iterable[tuple[str, float | None]]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in scores if value is not None)


def _values(words: Iterable[tuple[str, str]]) -> str:
    shown = [f"{name} {value}" for name, value in words]
    more = len(shown) - SHOWN_VALUES
    return ", ".join(shown[:SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")


def _word(value: object) -> str:
    text = "…" if isinstance(value, LargeValue) else value if isinstance(value, str) else json_text(value)
    return text if len(text) <= SHOWN_LETTERS else text[:SHOWN_LETTERS] + "…"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
