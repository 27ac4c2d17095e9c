"""One chart as inline SVG: three models' AUC by month, with the served one's interval."""

from collections.abc import Callable, Sequence
from html import escape

from charkh.demo.story import DecisionLine, MonthLine, Score

WIDTH, HEIGHT = 860, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 16, 40

Pick = Callable[[MonthLine], Score]
LINES: tuple[tuple[str, str, Pick], ...] = (
    ("guarded (served)", "served", lambda month: month.served),
    ("unguarded", "unguarded", lambda month: month.unguarded),
    ("first model, frozen", "frozen", lambda month: month.frozen),
)


def auc_chart(months: Sequence[MonthLine], decisions: Sequence[DecisionLine]) -> str:
    """The chart; a triangle marks a month at whose end a candidate was promoted, a cross one that was refused."""
    values = [value for month in months for _, _, pick in LINES for value in (pick(month).low, pick(month).high)]
    low, high = int(min(values) * 50) / 50, -int(-max(values) * 50) / 50 + 0.02
    across = _scale(0, max(1, len(months) - 1), LEFT, WIDTH - RIGHT)
    up = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_axes(months, low, high, across, up), _band(months, across, up)]
    for name, kind, pick in LINES:
        parts.append(_line(months, kind, pick, across, up))
        last = up(pick(months[-1]).auc)
        parts.append(f'<text class="label {kind}" x="{WIDTH - RIGHT + 10}" y="{last + 4:.1f}">{escape(name)}</text>')
    parts += _marks(months, decisions, across, up)
    title = "AUC by month of the served, the unguarded and the first model"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>'
        + "".join(_apart(parts))
        + "</svg>"
    )


def _scale(start: float, end: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - start) / (end - start) * (last - first)


def _axes(
    months: Sequence[MonthLine],
    low: float,
    high: float,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> str:
    drawn: list[str] = []
    for tick in range(round(low * 50), round(high * 50) + 1):
        y = up(tick / 50)
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick / 50:.2f}</text>')
    for place, month in enumerate(months):
        text = f'x="{across(place):.1f}" y="{HEIGHT - BOTTOM + 22}" text-anchor="middle"'
        drawn.append(f'<text class="tick" {text}>{escape(month.month)}</text>')
    return "".join(drawn)


def _band(months: Sequence[MonthLine], across: Callable[[float], float], up: Callable[[float], float]) -> str:
    upper = [f"{across(place):.1f},{up(month.served.high):.1f}" for place, month in enumerate(months)]
    lower = [f"{across(place):.1f},{up(month.served.low):.1f}" for place, month in enumerate(months)]
    return f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>'


def _line(
    months: Sequence[MonthLine], kind: str, pick: Pick, across: Callable[[float], float], up: Callable[[float], float]
) -> str:
    points = " ".join(f"{across(place):.1f},{up(pick(month).auc):.1f}" for place, month in enumerate(months))
    return f'<polyline class="line {kind}" points="{points}"/>'


def _marks(
    months: Sequence[MonthLine],
    decisions: Sequence[DecisionLine],
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> list[str]:
    places = {month.month: place for place, month in enumerate(months)}
    marks: list[str] = []
    for decision in decisions:
        place = places.get(decision.month)
        if place is None or decision.outcome not in {"promoted", "refused"}:
            continue
        x, y = across(place), up(months[place].served.auc)
        shape = "M-6 5 L0 -6 L6 5 Z" if decision.outcome == "promoted" else "M-5 -5 L5 5 M-5 5 L5 -5"
        what = escape(f"end of {decision.month}: {decision.candidate} {decision.outcome}")
        marks.append(
            f'<path class="mark {decision.outcome}" transform="translate({x:.1f} {y:.1f})" d="{shape}">'
            f"<title>{what}</title></path>"
        )
    return marks


def _apart(parts: Sequence[str]) -> Sequence[str]:
    """Labels at the right edge that would lie on one another are moved apart."""
    labels = sorted((part for part in parts if part.startswith('<text class="label')), key=_height)
    moved: dict[str, str] = {}
    floor = 0.0
    for label in labels:
        y = max(_height(label), floor)
        moved[label] = label.replace(f'y="{_height(label):.1f}"', f'y="{y:.1f}"')
        floor = y + 15
    return [moved.get(part, part) for part in parts]


def _height(label: str) -> float:
    return float(label.partition(' y="')[2].partition('"')[0])
