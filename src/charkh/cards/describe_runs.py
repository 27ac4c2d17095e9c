"""Describe the runs behind a model for its card: what was chosen, what came out, of which code, on what machine."""

from collections.abc import Iterator, Sequence
from time import time

from charkh.cards.executed import Execution, MetricLine, SeedLine
from charkh.core.errors import NotFound
from charkh.core.files import FileRef
from charkh.lineage.trace import Node
from charkh.ports.store import Store
from charkh.runs.groups import Group, group_runs
from charkh.runs.history import metric_names
from charkh.runs.index import RunsByIds
from charkh.runs.query import Field
from charkh.runs.run import SYSTEM_CONTEXT, LargeValue, Run, RunProvenance, SeriesSummary, json_text

EMISSIONS = "co2_eq_emissions"
"""The metric by which a run says what it emitted: grams of CO2 equivalent, as Hugging Face's key of that name."""
MAX_LISTED = 100
MAX_SEEDS = 8
_NAMES = """
catboost charkh jax keras lightgbm lightning numpy onnx onnxruntime pandas polars pyarrow scikit-learn scipy skops
statsmodels tensorflow torch transformers xgboost
"""
LIBRARIES = frozenset(_NAMES.split())
"""Distributions whose version a reader of a card wants to know; the run keeps all of them."""


def executions_of(store: Store, nodes: Sequence[Node]) -> tuple[Execution, ...]:
    """The runs among the stops of a trace, in their order; a run that nobody knows is left out."""
    asked = [node.subject.removeprefix("run:") for node in nodes]
    known = {each.started.run: each for each in store.queries.ask(RunsByIds(runs=tuple(asked), now=time()))}
    return tuple(
        _execution(store, node, known[identifier])
        for node, identifier in zip(nodes, asked, strict=True)
        if identifier in known
    )


def _execution(store: Store, node: Node, run: Run) -> Execution:
    series = [each for each in metric_names(store, run.started.run) if each.context != SYSTEM_CONTEXT]
    provenance = run.provenance or RunProvenance(run=run.started.run)
    lines = [
        ("status", run.status if run.over else "not ended"),
        ("started by", run.user or run.actor),
        ("group", run.started.group),
    ]
    return Execution(
        subject=node.subject,
        title=node.title,
        relation=node.relation,
        lines=_filled(lines),
        params=tuple((name, _shown(value)) for name, value in sorted(run.params.items())[:MAX_LISTED]),
        metrics=tuple(_metrics(run, series))[:MAX_LISTED],
        code=_code(provenance),
        software=_software(store, provenance),
        hardware=_hardware(provenance),
        seconds=run.ended - run.created if run.ended is not None and run.over else None,
        emissions=run.metrics.get(EMISSIONS),
        seeds=_seeds(store, run),
    )


def _metrics(run: Run, series: Sequence[SeriesSummary]) -> Iterator[MetricLine]:
    """One line a series; the segments of a resumed run, and its ranks, come together."""
    named: dict[str, list[SeriesSummary]] = {}
    for each in series:
        named.setdefault(f"{each.key}@{each.context}" if each.context else each.key, []).append(each)
    for name in sorted(named.keys() | run.metrics.keys()):
        parts = named.get(name, ())
        last = run.metrics.get(name, parts[-1].last if parts else float("nan"))
        low = min((each.low for each in parts), default=last)
        high = max((each.high for each in parts), default=last)
        goal = run.started.goals.get(name, "")
        yield MetricLine(
            name=name,
            last=f"{last:.6g}",
            best=f"{high if goal == 'max' else low:.6g} ({goal})" if goal else "",
            low=f"{low:.6g}",
            high=f"{high:.6g}",
            points=sum(each.count for each in parts) or 1,
        )


def _code(known: RunProvenance) -> tuple[tuple[str, str], ...]:
    dirty = {True: "yes", False: "no", None: ""}[known.dirty] if known.commit else ""
    return _filled(
        [
            ("repository", known.remote),
            ("commit", f"{known.commit} ({known.system})" if known.commit else ""),
            ("branch", known.branch),
            ("uncommitted changes", f"yes, kept: {_bytes(known.patch)}" if known.patch is not None else dirty),
            ("program", known.program),
            ("script", f"kept: {_bytes(known.script)}" if known.script is not None else ""),
        ]
    )


def _software(store: Store, known: RunProvenance) -> tuple[tuple[str, str], ...]:
    lines = [("Python", known.python)]
    if known.environment is not None:
        installed = _installed(store, known.environment)
        if installed is None:
            lines.append(("packages", f"{_bytes(known.environment)}, not here"))
        else:
            lines.append(("packages", f"{len(installed)}, {known.environment.digest[:12]}"))
            lines += [(name, version) for name, version in installed if name.lower() in LIBRARIES]
    return _filled(lines)


def _installed(store: Store, file: FileRef) -> list[tuple[str, str]] | None:
    """Names and versions of the distributions; None where the bytes are elsewhere or were erased."""
    try:
        text = b"".join(store.vault.read(file)).decode(errors="replace")
    except NotFound:
        return None
    pairs = (line.partition("==") for line in text.splitlines())
    return [(name.strip(), version.strip()) for name, _, version in pairs if version]


def _hardware(known: RunProvenance) -> tuple[tuple[str, str], ...]:
    return _filled(
        [
            ("platform", known.platform),
            ("processors", str(known.cpus) if known.cpus else ""),
            ("memory", f"{known.memory / 2**30:.1f} GiB" if known.memory else ""),
            ("accelerators", ", ".join(known.gpus)),
        ]
    )


def _seeds(store: Store, run: Run) -> tuple[SeedLine, ...]:
    if not run.started.group or not run.metrics:
        return ()
    fields = [Field("metrics", name) for name in sorted(run.metrics)[:MAX_SEEDS]]
    groups = group_runs(store, f"group = {json_text(run.started.group)}", metrics=fields)
    mine = next((each for each in groups if _has(each, run.started.run)), None)
    if mine is None or len(mine.members) < 2:
        return ()
    return tuple(
        SeedLine(
            metric=each.metric.removeprefix("metrics."),
            runs=each.n,
            mean=f"{each.mean:.6g}",
            deviation=f"{each.sd:.3g}" if each.sd is not None else "",
            interval=f"{each.low:.6g} to {each.high:.6g}" if each.low is not None and each.high is not None else "",
        )
        for each in mine.statistics
    )


def _has(group: Group, run: str) -> bool:
    return any(member.run == run for member in group.members)


def _bytes(file: FileRef) -> str:
    return f"{file.size:,} bytes, {file.digest[:12]}"


def _shown(value: object) -> str:
    if isinstance(value, LargeValue):
        return f"{value.file.size:,} bytes"
    return value if isinstance(value, str) else json_text(value)


def _filled(lines: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, value) for label, value in lines if value)
