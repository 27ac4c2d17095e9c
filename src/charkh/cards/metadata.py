"""The front matter of a card in the Hugging Face form: what is generated, beside what people write. Pure.

The keys are those of the model card specification (https://github.com/huggingface/hub-docs/blob/main/modelcard.md)
and of the dataset card specification beside it.
"""

import re
from collections.abc import Iterator, Mapping

from charkh.cards.card import name_of
from charkh.cards.front_matter import Yaml, blocks, yaml_lines
from charkh.cards.known import Known, Scores
from charkh.cards.regions import front_region
from charkh.cards.wording import Wording
from charkh.core.events import Fact

HUGGING_FACE_METRICS = {"auc": "roc_auc", "brier": "brier_score"}
"""Names of metrics in a model index, where they differ from ours."""

TASKS = {"tabular-classification": "Tabular Classification", "tabular-regression": "Tabular Regression"}
MAX_SLICES = 40
_HUB_NAME = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?(/[\w.-]+)?")
_NO_METRIC = frozenset({"rows"})


def front_matter(known: Known, wording: Wording, noun: str) -> str:
    """The front matter without its fences: people's keys, then the generated region.

    A key that a person wrote is not generated: what stands in the region would be a second one of that name.
    """
    own: dict[str, Yaml] = {"license": wording.license, "tags": ["charkh", *wording.tags]}
    written = {key: block for key, block in blocks(wording.front).items() if key not in own}
    made = _model_keys(known, wording) if noun == "model" else _dataset_keys(known)
    made = {key: value for key, value in made.items() if key not in written}
    people = "\n".join([*yaml_lines(own), *written.values()])
    return f"{people}\n{front_region('metadata', chr(10).join(yaml_lines(made)))}"


def _dataset_keys(known: Known) -> dict[str, Yaml]:
    size = known.content.size if known.content else ""
    return {"pretty_name": known.title, **({"size_categories": [size]} if size else {})}


def _model_keys(known: Known, wording: Wording) -> dict[str, Yaml]:
    made: dict[str, Yaml] = {"model_name": known.title}
    if wording.library:
        made["library_name"] = wording.library
    tasks = list(dict.fromkeys(_task(scores) for scores in known.scores))
    if tasks:
        made["pipeline_tag"] = tasks[0]
    datasets = dict.fromkeys(
        name_of(node.title) for node in known.trace.of("dataset") if node.relation in {"trained_on", "used"}
    )
    named = [name for name in datasets if _HUB_NAME.fullmatch(name)]
    if named:
        made["datasets"] = named
    metrics = dict.fromkeys(kind for scores in known.scores for kind in _kinds(scores.facts))
    if metrics:
        made["metrics"] = list(metrics)
    bases = [name_of(node.title) for node in known.trace.of("model")[1:]]
    if bases:
        made["base_model"] = list(dict.fromkeys(bases))
    emissions = _emissions(known)
    if emissions:
        made["co2_eq_emissions"] = emissions
    results = [result for scores in known.scores for result in _results(scores)]
    if results:
        made["model-index"] = [{"name": name_of(known.title), "results": results}]
    return made


def _emissions(known: Known) -> dict[str, Yaml]:
    """What the runs measured: the whole where one run is a part of another, else their sum; grams of CO2 equivalent."""
    measured = [each for each in known.executions if each.emissions is not None]
    if not measured:
        return {}
    whole = [each for each in measured if each.relation != "part_of"]
    hardware = dict.fromkeys(
        value for each in measured for label, value in each.hardware if label in {"platform", "accelerators"}
    )
    return {
        "emissions": sum(each.emissions or 0.0 for each in whole or measured),
        "source": "logged by the training run",
        **({"hardware_used": ", ".join(hardware)} if hardware else {}),
    }


def _task(scores: Scores) -> str:
    classified = "precision" in scores.facts or "auc" in scores.facts
    return "tabular-classification" if classified else "tabular-regression"


def _kinds(facts: Mapping[str, Fact]) -> Iterator[str]:
    for name, value in facts.items():
        if _is_metric(name, value):
            yield HUGGING_FACE_METRICS.get(name, name)


def _is_metric(name: str, value: Fact) -> bool:
    return "." not in name and name not in _NO_METRIC and _number(value) is not None


def _number(value: Fact | None) -> float | None:
    """A fact's number; one without a fraction comes back from the catalog as an integer."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _results(scores: Scores) -> Iterator[dict[str, Yaml]]:
    """The results of one evaluation: about all rows, and about each published slice, its `config`."""
    kind = _task(scores)
    title = scores.on.title if scores.on is not None else "unknown"
    dataset: dict[str, Yaml] = {"type": "charkh", "name": title}
    if scores.on is not None:
        dataset["revision"] = scores.on.subject
    parts: list[tuple[dict[str, Yaml], Mapping[str, Fact]]] = [({}, scores.facts)]
    for part in scores.slices[:MAX_SLICES]:
        parts.append(
            ({"config": f"{part.column}={part.value}"[:200], "args": {part.column: part.value}}, part.facts),
        )
    for narrowed, facts in parts:
        metrics = list(_metrics(facts, scores.stated_by.subject))
        if metrics:
            yield {
                "task": {"type": kind, "name": TASKS[kind]},
                "dataset": {**dataset, **narrowed},
                "metrics": metrics,
            }


def _metrics(facts: Mapping[str, Fact], evaluation: str) -> Iterator[dict[str, Yaml]]:
    for name, value in facts.items():
        number = _number(value)
        if number is None or not _is_metric(name, value):
            continue
        ends = {end: each for end in ("low", "high") if (each := _number(facts.get(f"{name}.{end}"))) is not None}
        yield {
            "type": HUGGING_FACE_METRICS.get(name, name),
            "name": name,
            "value": number,
            "args": {**ends, "evaluation": evaluation},
        }
