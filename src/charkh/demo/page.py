"""What every section of the report is made of: the style, a table, and numbers as they are written."""

from collections.abc import Iterable, Sequence
from html import escape

from charkh.demo.story import Score

STYLE = """
:root { color-scheme: light dark; --ink:#1b1f24; --soft:#5b6570; --paper:#fff; --line:#d9dee3; --good:#12715b;
 --bad:#b3402a; --first:#8a6d1f; --shade:#f5f7f8; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ec; --soft:#9aa5b0; --paper:#15181c; --line:#333a41;
 --good:#4fc3a1; --bad:#f08a70; --first:#d9b54a; --shade:#1d2126; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
 font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
p.lead { font-size: 1.1rem; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .75rem; margin: 1.4rem 0; }
.tile { background: var(--shade); border-radius: .5rem; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .4rem .7rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--shade); padding: 1rem; border-radius: .5rem; overflow-x: auto; font-size: .84rem; }
.wide table { font-size: .84rem; } .wide td:nth-child(-n+3) { white-space: nowrap; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .line { fill: none; stroke-width: 2.5; }
svg .line.served { stroke: var(--good); } svg .line.unguarded { stroke: var(--bad); stroke-dasharray: 7 4; }
svg .line.frozen { stroke: var(--first); stroke-dasharray: 2 4; } svg .band { fill: var(--good); opacity: .14; }
svg text.served { fill: var(--good); } svg text.unguarded { fill: var(--bad); } svg text.frozen { fill: var(--first); }
svg .mark { stroke: var(--paper); stroke-width: 1.5; } svg .mark.promoted { fill: var(--good); }
svg .mark.refused { stroke: var(--bad); stroke-width: 3; fill: none; }
details { margin: .4rem 0; } summary { cursor: pointer; }
"""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a heading that begins with `#` has numbers below it."""
    kinds = [' class="number"' if head.startswith("#") else "" for head in heads]
    top = "".join(f"<th{kind}>{escape(head.lstrip('#'))}</th>" for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def score_of(score: Score) -> str:
    """An AUC with its 95 % interval."""
    return f"{score.auc:.3f} [{score.low:.3f}, {score.high:.3f}]"


def size_of(count: int) -> str:
    """Bytes, in megabytes."""
    return f"{count / 1e6:,.2f} MB"
