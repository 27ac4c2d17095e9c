"""`charkh evaluation`: list, show and compare evaluations."""

from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.evaluation_stability import certificate, certificates, stability
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown, shown_count, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import titles_of
from charkh.core.errors import NotFound
from charkh.evaluations.details import read_details
from charkh.evaluations.evaluation import Details, Evaluation, Looks, Score
from charkh.evaluations.find import find
from charkh.evaluations.index import Evaluations, EvaluationsOf, LooksAt
from charkh.models.find import find as find_model
from charkh.ports.store import Store

if TYPE_CHECKING:
    from charkh.evaluations.compare import SideBySide

app = typer.Typer(no_args_is_help=True, help="Scores with intervals, slices and comparison with a champion.")

Which = Annotated[str, typer.Argument(help="An evaluation's id, or a model such as delay@3 for its newest one.")]


@app.command("list")
def list_evaluations(
    model: Annotated[str, typer.Argument(help="A model's name, or a version such as delay@3; all without.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    json: AsJson = False,
) -> None:
    """List evaluations, the newest first."""
    with open_workspace() as workspace:
        store = workspace.store
        if "@" in model or ":" in model:
            found = store.queries.ask(EvaluationsOf(subject=find_model(store, model).subject, limit=limit))
        else:
            found = store.queries.ask(Evaluations(model=model, limit=limit))
        titles = titles_of(store, (subject for each in found for subject in (each.made.about, each.made.on)))
    if json:
        write_json(found)
        return
    write_table(
        ["evaluation", "of", "on", "rows", "metric", "value", "interval", "p better", "made"],
        [
            [
                each.id,
                titles[each.made.about],
                titles[each.made.on],
                each.made.rows,
                *_first_score(each),
                shown_time(each.at),
            ]
            for each in found
        ],
        empty="nothing was evaluated yet",
    )


@app.command()
def show(evaluation: Which, json: AsJson = False) -> None:
    """Show an evaluation: metrics, comparison, slices, calibration, and what to know about them."""
    with open_workspace() as workspace:
        store = workspace.store
        found = evaluation_of(store, evaluation)
        details = read_details(store, found)
        made = found.made
        looks = store.queries.ask(LooksAt(on=made.on, model=made.model))
        titles = titles_of(store, (made.about, made.on, made.champion))
    if json:
        write_json({"evaluation": found, "looks": looks, "details": details})
        return
    _write_head(found, looks, titles)
    _write_scores(details)
    _write_slices(details)
    for note in made.notes:
        write_line(f"note: {note}")


@app.command()
def compare(first: Which, second: Which, json: AsJson = False) -> None:
    """Put two evaluations side by side, and say whether that is fair."""
    # The metrics need NumPy, which the other verbs start without.
    from charkh.evaluations.compare import compare as compare_two

    with open_workspace() as workspace:
        found = compare_two(evaluation_of(workspace.store, first), evaluation_of(workspace.store, second))
    if json:
        write_json(found)
        return
    write_table(
        ["metric", "first", "second", "difference", "better", "intervals overlap", "p first is better"],
        [
            [
                each.metric,
                _with_interval(each.first),
                _with_interval(each.second),
                each.difference,
                each.better,
                each.overlap,
                each.win_probability,
            ]
            for each in found.differences
        ],
    )
    write_line(_fairness(found))


def evaluation_of(store: Store, ref: str) -> Evaluation:
    """The evaluation that a text means: an id or a beginning of one, or the newest about a model version."""
    if "@" not in ref and not ref.startswith("model:"):
        return find(store, ref)
    version = find_model(store, ref)
    newest = store.queries.ask(EvaluationsOf(subject=version.subject, limit=1))
    if not newest:
        raise NotFound(
            f"{version.ref} was not evaluated",
            code="evaluation.not_found",
            hint="`charkh evaluation list` shows what was.",
        )
    return newest[0]


def _write_head(found: Evaluation, looks: Looks, titles: dict[str, str]) -> None:
    made = found.made
    drawn = "independent rows" if made.independent else f"{made.blocks} blocks"
    pairs: list[tuple[str, object]] = [
        ("evaluation", found.id),
        ("of", titles[made.about]),
        ("on", titles[made.on]),
        ("rows", made.rows if made.positives is None else f"{made.rows}, {made.positives} of them positive"),
        ("intervals", f"{made.confidence:.0%}, from {made.rounds} resamples of {drawn}"),
        (
            "looks",
            f"{shown_count(looks.evaluations, 'evaluation')} of {shown_count(looks.subjects, 'version')} on this truth",
        ),
        ("made", f"{shown_time(found.at)} by {found.actor}"),
    ]
    if made.champion:
        pairs.insert(3, ("against", titles[made.champion]))
    write_pairs(pairs)
    write_line()


def _write_scores(details: Details) -> None:
    against = {comparison.metric: comparison for comparison in details.comparisons}
    more = ["champion", "difference", "from", "to", "p better"] if against else []
    rows: list[list[object]] = []
    for score in details.scores:
        row: list[object] = [score.metric, score.value, score.low, score.high, score.std]
        if against:
            each = against[score.metric]
            row += [each.champion, each.difference, each.low, each.high, each.win_probability]
        rows.append(row)
    write_table(["metric", "value", "from", "to", "std", *more], rows)
    if details.operating is not None:
        at = details.operating
        write_line(
            f"at {at.threshold:g}: precision {shown(at.precision)}, recall {shown(at.recall)}; "
            f"{at.true_positives} true and {at.false_positives} false alarms, {at.false_negatives} missed"
        )
    if details.calibration is not None:
        write_line(f"calibration error (ECE): {details.calibration.ece:.4g}")


def _write_slices(details: Details) -> None:
    if not details.slices:
        return
    metric = details.scores[0].metric
    write_line()
    write_table(
        ["column", "value", "rows", metric, "from", "to", "p better", "published"],
        [
            [
                each.column,
                each.value,
                each.rows,
                each.scores[0].value,
                each.scores[0].low,
                each.scores[0].high,
                each.comparisons[0].win_probability if each.comparisons else None,
                each.reason or "yes",
            ]
            for each in details.slices
        ],
    )


def _first_score(evaluation: Evaluation) -> list[object]:
    made = evaluation.made
    if not made.scores:
        return [None] * 4
    score = made.scores[0]
    win = next((each.win_probability for each in made.comparisons if each.fact == score.metric), None)
    bounds = "" if score.low is None or score.high is None else f"{score.low:.4g} to {score.high:.4g}"
    return [score.metric, score.value, bounds, win]


def _with_interval(score: Score | None) -> str:
    if score is None or score.value is None:
        return ""
    bounds = "" if score.low is None or score.high is None else f" ({score.low:.4g} to {score.high:.4g})"
    return f"{score.value:.4g}{bounds}"


def _fairness(found: "SideBySide") -> str:
    if found.same_rows:
        return "both scored the same rows"
    if found.same_data:
        return "not fair: one dataset version, but not the same rows"
    return "not fair: they are on different dataset versions"


app.command("stability")(stability)
app.command("certificates")(certificates)
app.command("certificate")(certificate)
