"""Try a model of the registry by a suite of stability tests: its rows, its other versions, and what is due."""

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from charkh.core.config import GateSettings, parse_table
from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.core.gates import parse_condition
from charkh.core.quantities import parse_duration
from charkh.core.stability_settings import ChurnTest, StabilitySettings, check_stability
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import scan_table
from charkh.evaluations.stability.certificate import Certificate
from charkh.evaluations.stability.certify import certify, suite_digest
from charkh.evaluations.stability.index import CertificatesOf
from charkh.evaluations.stability.standing import PREFIX
from charkh.evaluations.stability.subject import Ask, Tried
from charkh.evaluations.stability.trying import tests_of
from charkh.models.example import ExampleRequest
from charkh.models.find import find as find_model
from charkh.models.index import ModelVersions
from charkh.models.load import load
from charkh.models.model import CHAMPION, ModelVersion
from charkh.ports.runtimes import Signature
from charkh.recipes.find import find as find_recipe
from charkh.workspace.governing import rules_of
from charkh.workspace.model_rows import asking, columns_of, frame_of_example
from charkh.workspace.retraining import trained_on, training_of
from charkh.workspace.serving import preparing
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh")

FOLDER = "stability"
USUAL_SUITE = "usual"
"""The suite of a model that none is written for."""


class Rows(NamedTuple):
    """The rows that a model is asked with.

    Attributes:
        inputs: as the model takes them.
        columns: of the rows as they came and as recipes made them.
        on: the dataset version that they are from, or None for the example kept with the model.
    """

    inputs: pl.DataFrame
    columns: pl.DataFrame
    on: DatasetVersion | None


def suites_of(workspace: Workspace) -> Mapping[str, StabilitySettings]:
    """The suites of `charkh.toml` and of `stability/NAME.toml`, by name.

    Raises:
        Invalid: a file cannot be read, or a suite stands in both.
    """
    found = dict(workspace.settings.stability)
    for path in sorted((workspace.folder / FOLDER).glob("*.toml")):
        name, where = path.stem, f"{FOLDER}/{path.name}"
        if name in found:
            raise Invalid(
                f"the suite {name!r} stands in charkh.toml and in {where}",
                code="stability.twice",
                hint="Keep one of them.",
            )
        found[name] = parse_table(_toml(path, where), StabilitySettings, where)
        check_stability(name, found[name])
    return found


def suites_for(workspace: Workspace, ref: str, suite: str = "") -> Mapping[str, StabilitySettings]:
    """The suites by which a model is tried: the one that is named, else those of its name, else the usual tests.

    Raises:
        NotFound: there is no such suite.
    """
    known = suites_of(workspace)
    if suite:
        if suite not in known and suite != USUAL_SUITE:
            raise NotFound(
                f"there is no suite {suite!r} of stability tests",
                code="stability.no_suite",
                hint=f"Write [stability.{suite}]; known: {', '.join(sorted(known)) or 'none'}.",
            )
        return {suite: known.get(suite, StabilitySettings())}
    name = find_model(workspace.store, ref).made.name
    own = {each: settings for each, settings in known.items() if _model_name(each, settings) == name}
    return own or {USUAL_SUITE: StabilitySettings()}


def with_rows(settings: StabilitySettings, *, on: str = "", target: str = "") -> StabilitySettings:
    """The same suite on other rows, or with another column of truth, where one is named."""
    return msgspec.structs.replace(settings, on=on or settings.on, target=target or settings.target)


def certify_model(
    workspace: Workspace,
    suite: str,
    settings: StabilitySettings,
    *,
    model: str = "",
    moment: float | None = None,
) -> Certificate:
    """Try a model version by a suite and record the certificate, whatever it says.

    Args:
        workspace: whose model and rows they are.
        suite: name of the suite.
        settings: of the suite.
        model: reference of the version; what the suite names by default.
        moment: seconds since the epoch at which it is issued, for a replay of the past; now by default.

    Raises:
        NotFound: there is no such model, dataset or recipe, or the version has no rows to be asked with.
        Invalid: rows lack an input of the model, or a test names a column that is not there.
        Denied: the model may not be loaded.
    """
    version = find_model(workspace.store, model or _model_ref(suite, settings))
    rows = _rows(workspace, version, settings)
    tried = Tried(
        rows=rows.inputs,
        ask=_ask_of(workspace, version),
        optional=_optional(version.made.signature, rows.inputs),
        truth=_truth(rows.columns, settings.target),
        groups=rows.columns,
        others=_others(workspace, version, settings),
        compiled=_compiled_ask(workspace, version),
        training=training_of(workspace, version, settings),
    )
    return certify(
        workspace.store,
        suite,
        settings,
        tried,
        about=version.subject,
        model=version.made.name,
        on=f"dataset:{rows.on.id}" if rows.on is not None else "",
        seen=rows.on is not None and rows.on.id in version.made.datasets,
        moment=moment,
    )


def asks_for_certificate(gate: GateSettings) -> bool:
    """Whether a condition of a gate is about what certificates of stability say."""
    return any(parse_condition(text).fact.startswith(PREFIX) for text in gate.require)


def certify_candidate(workspace: Workspace, version: ModelVersion, *, moment: float | None = None) -> None:
    """Try a version that was just made by all suites of its model, so that a gate can judge it.

    Raises:
        CharkhError: as `certify_model`.
    """
    for suite, settings in suites_for(workspace, version.id).items():
        certify_model(workspace, suite, settings, model=version.id, moment=moment)


def due_suites(
    workspace: Workspace, suites: Mapping[str, StabilitySettings], moment: float, failed: Mapping[str, float]
) -> list[str]:
    """The suites that `charkh up` runs at `moment`: their `every` has passed, or what they are about has changed.

    Args:
        workspace: whose models they are about.
        suites: as `suites_of` gives them.
        moment: seconds since the epoch.
        failed: by suite, when it could not be run last; it waits as long as one that could.
    """
    waiting: list[str] = []
    for name, settings in sorted(suites.items()):
        if not settings.every:
            continue
        every = parse_duration(settings.every)
        if name in failed and moment - failed[name] < every:
            continue
        try:
            version = find_model(workspace.store, _model_ref(name, settings))
        except NotFound:
            continue  # nobody holds the alias yet
        known = workspace.store.queries.ask(CertificatesOf(subject=version.subject))
        last = next((each for each in known if each.made.suite == name), None)
        if last is None or moment - last.made.issued >= every or last.made.digest != suite_digest(settings):
            waiting.append(name)
    return waiting


def _toml(path: Path, where: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{where} is no TOML: {error}", code="config.invalid", hint="Mend that line.") from error


def _model_ref(suite: str, settings: StabilitySettings) -> str:
    return settings.model or f"{suite}@{CHAMPION}"


def _model_name(suite: str, settings: StabilitySettings) -> str:
    return _model_ref(suite, settings).partition("@")[0]


def _ask_of(workspace: Workspace, version: ModelVersion) -> Ask:
    loaded = load(workspace.store, version.id, runtimes=workspace.runtimes, rules=rules_of(workspace))
    return asking(loaded.predictor, version.made.signature)


def _compiled_ask(workspace: Workspace, version: ModelVersion) -> Ask | None:
    """The form that endpoints serve, where it is another than the original."""
    loaded = load(workspace.store, version.id, runtimes=workspace.runtimes, rules=rules_of(workspace), form="auto")
    return asking(loaded.predictor, version.made.signature) if loaded.compiled else None


def _others(workspace: Workspace, version: ModelVersion, settings: StabilitySettings) -> Mapping[str, Ask]:
    """The versions that the churn tests ask for; of those that none names, such as can be loaded."""
    tests = [test for test in tests_of(settings).values() if isinstance(test, ChurnTest)]
    found: dict[str, Ask] = {}
    for ref in {ref for test in tests for ref in test.against}:
        other = find_model(workspace.store, ref)
        found[other.ref] = _ask_of(workspace, other)
    if any(not test.against for test in tests):
        most = max(test.versions for test in tests)
        taken = {spec.name for spec in version.made.signature.inputs}
        before = [
            each
            for each in workspace.store.queries.ask(ModelVersions(name=version.made.name))
            if each.made.number < version.made.number
            and each.status == "ready"
            and {spec.name for spec in each.made.signature.inputs} == taken
        ]
        for other in before[:most]:
            try:
                found.setdefault(other.ref, _ask_of(workspace, other))
            except CharkhError as error:
                _log.info("%s is not held against %s: %s", other.ref, version.ref, error.message)
    return found


def _rows(workspace: Workspace, version: ModelVersion, settings: StabilitySettings) -> Rows:
    dataset = _dataset(workspace, version, settings)
    signature = version.made.signature
    if dataset is None:
        frame = _example(workspace, version)
        return Rows(frame, frame, None)
    drawn = _draw(workspace, dataset, settings)
    recipes = [find_recipe(workspace.store, ref).subject for ref in settings.recipes]
    prepared = preparing(workspace.store, recipes)(drawn) if recipes else drawn
    raw = [drawn[name] for name in drawn.columns if name not in prepared.columns]
    columns = pl.DataFrame([*prepared.get_columns(), *raw])
    return Rows(columns_of(prepared, signature, leave=settings.target), columns, dataset)


def _dataset(workspace: Workspace, version: ModelVersion, settings: StabilitySettings) -> DatasetVersion | None:
    """The dataset of the suite, or a table that the model was trained on; None where there is neither."""
    return find_dataset(workspace.store, settings.on) if settings.on else trained_on(workspace, version)


def _draw(workspace: Workspace, dataset: DatasetVersion, settings: StabilitySettings) -> pl.DataFrame:
    """Rows of the table, in random order, so that the first ones of them are a draw as well."""
    lazy = scan_table(workspace.store, dataset, cache=workspace.table_cache)
    height = int(lazy.select(pl.len()).collect().item())
    random = np.random.default_rng(settings.seed)
    places = random.choice(height, size=min(settings.size, height), replace=False)
    kept = lazy.with_row_index(_PLACE).filter(pl.col(_PLACE).is_in(places.tolist())).collect().sort(_PLACE)
    order = np.argsort(np.argsort(places, kind="stable"), kind="stable")
    return kept.drop(_PLACE)[order]


_PLACE = "__charkh_place"


def _example(workspace: Workspace, version: ModelVersion) -> pl.DataFrame:
    example = version.made.example
    if example is None:
        raise NotFound(
            f"{version.ref} keeps no example, and does not say which dataset it was trained on",
            code="stability.no_rows",
            hint='Name a dataset in the suite: on = "DATASET".',
        )
    data = b"".join(workspace.store.vault.read(example))
    return frame_of_example(msgspec.json.decode(data, type=ExampleRequest), version.made.signature)


def _optional(signature: Signature, rows: pl.DataFrame) -> frozenset[str]:
    """The columns of the rows that may be missing."""
    optional = {spec.name for spec in signature.inputs if spec.optional}
    return frozenset(name for name in rows.columns if name in optional or name.partition("[")[0] in optional)


def _truth(columns: pl.DataFrame, target: str) -> Any:
    if not target:
        return None
    if target not in columns.columns:
        raise Invalid(
            f"the rows have no column {target!r}, which the suite names as its target",
            code="stability.no_column",
            hint=f"They have: {', '.join(columns.columns)}.",
        )
    series = columns[target]
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise Invalid(
            f"the target {target!r} holds {series.dtype}",
            code="stability.no_column",
            hint="Make it 0 and 1 for two classes, the class's number, or the number that is predicted.",
        )
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
