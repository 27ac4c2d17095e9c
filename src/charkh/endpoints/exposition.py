"""Families as text: the Prometheus format 0.0.4, and OpenMetrics 1.0 with exemplars. No I/O."""

import math
from collections.abc import Iterable, Mapping

from charkh.ports.meters import Exemplar, Family, Sample

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MAX_EXEMPLAR = 128
"""Characters of an exemplar's labels (OpenMetrics 1.0)."""

_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def media_type(accept: str) -> str:
    """The format that a scraper prefers by its `Accept` header; the plain one where it names none."""
    best, weight = PLAIN, 0.0
    for part in accept.split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        said = {key.strip(): value for key, _, value in (each.partition("=") for each in parameters)}
        try:
            q = float(said.get("q", "1"))
        except ValueError:
            continue
        if name == "application/openmetrics-text" and said.get("version", "1.0.0") in {"1.0.0", "0.0.1"}:
            candidate = OPENMETRICS
        elif name in {"text/plain", "text/*", "*/*"}:
            candidate = PLAIN
        else:
            continue
        if q > weight:
            best, weight = candidate, q
    return best


def exposition(families: Iterable[Family], media: str = PLAIN) -> str:
    """The page that is scraped; families of one name that came from two places are one.

    Args:
        families: in any order.
        media: `PLAIN` or `OPENMETRICS`, which alone has exemplars.
    """
    merged: dict[str, Family] = {}
    for family in families:
        known = merged.get(family.name)
        merged[family.name] = family if known is None else known._replace(samples=[*known.samples, *family.samples])
    new = media == OPENMETRICS
    lines: list[str] = []
    for name in sorted(merged):
        lines += _lines(merged[name], openmetrics=new)
    if new:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _lines(family: Family, *, openmetrics: bool) -> Iterable[str]:
    # The plain format names a counter as its samples do, OpenMetrics names the family without the suffix.
    name = f"{family.name}_total" if family.kind == "counter" and not openmetrics else family.name
    yield f"# HELP {name} {family.help.translate(_LABEL if openmetrics else _HELP)}"
    yield f"# TYPE {name} {family.kind}"
    for sample in family.samples:
        line = f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}"
        yield line + (_exemplar(sample) if openmetrics else "")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_LABEL)}"' for name, value in labels.items()) + "}"


def _exemplar(sample: Sample) -> str:
    exemplar: Exemplar | None = sample.exemplar
    if exemplar is None:
        return ""
    labels, size = dict[str, str](), 0
    for name, value in exemplar.labels.items():
        if size + len(name) + len(value) <= MAX_EXEMPLAR:
            labels[name] = value
            size += len(name) + len(value)
    return f" # {_labels(labels)} {_number(exemplar.value)} {exemplar.time:.3f}" if labels else ""


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
