"""A profile as one HTML page that needs nothing else: no script, no network, no rows."""

from collections.abc import Sequence
from html import escape

from charkh.datasets.profile.summary import ColumnSummary

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem}table{border-collapse:collapse;width:100%}th,td{text-align:start;padding:.45rem .6rem;
border-bottom:1px solid #d9dee3;vertical-align:top}th{font-weight:600}td.n{text-align:end;font-variant-numeric:
tabular-nums}small{color:#59636e}svg{display:block}rect{fill:#2f6f8f}ol{margin:0;padding-inline-start:1.2rem}
@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14181c}th,td{border-color:#333b43}
small{color:#98a3ad}rect{fill:#6fb6d6}}
"""
_WIDTH, _HEIGHT = 192, 40


def profile_page(title: str, rows: int, columns: Sequence[ColumnSummary]) -> str:
    """The page.

    Args:
        title: what was profiled.
        rows: how many it has.
        columns: their summaries.
    """
    body = "".join(_row(column) for column in columns)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{rows:,} rows, {len(columns)} columns</p><table><thead><tr>"
        "<th>column</th><th>missing</th><th>different</th><th>values</th><th>distribution</th></tr></thead>"
        f"<tbody>{body}</tbody></table></body></html>\n"
    )


def _row(column: ColumnSummary) -> str:
    about = "" if column.distinct_exact else "about "
    return (
        f'<tr><th scope="row">{escape(column.name)}<br><small>{escape(column.dtype)}</small></th>'
        f'<td class="n">{column.missing_share:.2%}</td><td class="n">{about}{column.distinct:,}</td>'
        f"<td>{_values(column)}</td><td>{_bars(column)}</td></tr>"
    )


def _values(column: ColumnSummary) -> str:
    if column.top:
        items = "".join(f"<li>{escape(text)} <small>{count:,}</small></li>" for text, count in column.top[:5])
        shapes = ", ".join(f"{escape(text)} ({count:,})" for text, count in column.shapes[:3])
        return f"<ol>{items}</ol>" + (f"<small>shapes: {shapes}</small>" if shapes else "")
    if column.least is None:
        return ""
    middle = _text(column.quantiles.get("0.5"))
    said = f"{_text(column.least)} … {middle} … {_text(column.greatest)}"
    return f"{said}<br><small>mean {_text(column.mean)}, deviation {_text(column.deviation)}</small>"


def _bars(column: ColumnSummary) -> str:
    if not column.bars:
        return ""
    most, step = max(column.bars), _WIDTH / len(column.bars)
    heights = [round(_HEIGHT * count / most, 1) if most else 0 for count in column.bars]
    rects = "".join(
        f'<rect x="{place * step:.1f}" y="{_HEIGHT - height:.1f}" width="{step - 1:.1f}" height="{height}"/>'
        for place, height in enumerate(heights)
    )
    label = f"histogram of {escape(column.name, quote=True)}"
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}">{rects}</svg>'


def _text(value: float | str | None) -> str:
    return "" if value is None else escape(value) if isinstance(value, str) else f"{value:,.6g}"
