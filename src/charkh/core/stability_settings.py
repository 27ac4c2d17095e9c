"""What `[stability.NAME]` says: how a model is tried, on which rows, how often, and for how long that counts. No I/O.

A test is data: a kind, what it does to the rows, and how many of them may answer otherwise. The kinds of behaviour are
those of CheckList (Ribeiro et al. 2020): invariance and direction.
"""

import re
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration

MAX_TRAININGS = 100
_LABEL = re.compile(r"[A-Za-z_][\w\-]*", re.ASCII)


class TestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What a test of any kind may say.

    Attributes:
        rows: at most so many rows of the suite's, where the kind is dear; 0 for all of them.
    """

    __test__ = False  # pytest takes it for a class of tests

    rows: int = 0


class RepeatTest(TestSettings, frozen=True, kw_only=True, tag="repeat"):
    """The same input gives the same output, however often it is asked.

    Attributes:
        times: how often.
        tolerance: greatest difference between two answers.
    """

    times: int = 3
    tolerance: float = 0.0


class BatchTest(TestSettings, frozen=True, kw_only=True, tag="batch"):
    """A row answers alone as it does among others.

    Attributes:
        sizes: of the batches that are tried.
        tolerance: greatest difference; sums of floats may be added in another order.
    """

    sizes: tuple[int, ...] = (1, 7, 64)
    tolerance: float = 1e-6


class OrderTest(TestSettings, frozen=True, kw_only=True, tag="order"):
    """Neither the order of the rows nor that in which the columns are named matters.

    Attributes:
        tolerance: greatest difference.
    """

    tolerance: float = 1e-6


class DuplicatesTest(TestSettings, frozen=True, kw_only=True, tag="duplicates"):
    """A row that is there several times is answered as if it were there once, and so are its neighbours.

    Attributes:
        tolerance: greatest difference.
    """

    tolerance: float = 1e-6


class ThreadsTest(TestSettings, frozen=True, kw_only=True, tag="threads"):
    """Asked from several threads at once, it answers as it does alone.

    Attributes:
        threads: how many.
        tolerance: greatest difference.
    """

    threads: int = 8
    tolerance: float = 1e-6


class CompiledTest(TestSettings, frozen=True, kw_only=True, tag="compiled"):
    """The compiled form of the model answers as the original.

    Attributes:
        tolerance: greatest difference of a number; labels must be equal.
    """

    tolerance: float = 1e-5


class PerturbationTest(TestSettings, frozen=True, kw_only=True):
    """What tests say that change the inputs and ask how many rows answer otherwise.

    Attributes:
        tolerance: how far a number may move before its row counts as changed: a probability as it stands, a predicted
            number in standard deviations of the predictions. 0 asks classifiers for the same label, and others for a
            tenth of a standard deviation.
        failures: share of rows that may change.
    """

    tolerance: float = 0.0
    failures: float = 0.1


class InvarianceTest(PerturbationTest, frozen=True, kw_only=True, tag="invariance"):
    """What should not matter does not: the columns' values are replaced and the answers stay.

    Attributes:
        columns: whose values are replaced together.
        values: tried one after another in every row; without them each row takes another row's values.
        swap: the values of exactly two columns change places instead.
    """

    columns: tuple[str, ...] = ()
    values: tuple[str | int | float | bool, ...] = ()
    swap: bool = False
    failures: float = 0.0


class DirectionTest(PerturbationTest, frozen=True, kw_only=True, tag="direction"):
    """What should push the prediction one way does.

    Attributes:
        column: a column of numbers.
        add: added to it.
        times: multiplied with it, before.
        expect: where the score (probability of the last class, or the number) must go: `up` and `down` by more than
            `tolerance`, `not_down` and `not_up` not by more than `tolerance` the other way.
        failures: share of rows in which it may go another way.
    """

    column: str = ""
    add: float = 0.0
    times: float = 1.0
    expect: Literal["up", "down", "not_up", "not_down"] = "not_down"
    failures: float = 0.0


class NoiseTest(PerturbationTest, frozen=True, kw_only=True, tag="noise"):
    """Numbers that are a little off give about the same answers.

    Attributes:
        columns: of numbers; all by default.
        scale: standard deviation of the noise, in robust standard deviations of each column (from its quartiles).
    """

    columns: tuple[str, ...] = ()
    scale: float = 0.05


class MissingTest(PerturbationTest, frozen=True, kw_only=True, tag="missing"):
    """Values that are missing where the signature allows it give answers, and mostly the same ones.

    Attributes:
        columns: of the optional inputs; all by default.
        share: of the values that go missing.
        failures: share of rows that may change.
    """

    columns: tuple[str, ...] = ()
    share: float = 0.1
    failures: float = 0.2


class ScaleTest(PerturbationTest, frozen=True, kw_only=True, tag="scale"):
    """A column in another unit by mistake gives finite answers, probabilities between 0 and 1, and no error.

    Attributes:
        columns: of numbers, one tried after another; all by default.
        factors: that they are multiplied with.
        failures: share of rows whose answer may change; any by default, so that only sound answers are asked for.
    """

    columns: tuple[str, ...] = ()
    factors: tuple[float, ...] = (1000.0, 0.001)
    failures: float = 1.0


class UnseenTest(PerturbationTest, frozen=True, kw_only=True, tag="unseen"):
    """Texts that training never saw give sound answers and no error.

    Attributes:
        columns: of texts, one tried after another; all by default.
        value: the text that nobody has seen.
        failures: share of rows whose answer may change; any by default.
    """

    columns: tuple[str, ...] = ()
    value: str = "never-seen-before"
    failures: float = 1.0


class ChurnTest(PerturbationTest, frozen=True, kw_only=True, tag="churn"):
    """Trained again, with other seeds or on newer rows, it mostly answers the same (Milani Fard et al. 2016).

    Attributes:
        against: versions of the same model, such as `delay@3`; with none, the newest ones before it.
        versions: how many of those at most.
        failures: share of rows that may answer otherwise, on average over the versions.
    """

    against: tuple[str, ...] = ()
    versions: int = 3


class RetrainTest(PerturbationTest, frozen=True, kw_only=True, tag="retrain"):
    """Trained again with another seed, or on other draws of the same rows, it mostly answers the same.

    Attributes:
        seeds: trainings that differ in the seed alone.
        samples: trainings on a bootstrap sample of the rows: as many of them, drawn with replacement.
        by: `pipeline` calls the step that made the model again, `clone` fits a copy of the registered scikit-learn
            estimator to its dataset; by default the first of them that can be done.
        pipeline: that made the model; the one of its run by default.
        seed: name of the param that holds the seed, such as `train.seed`; any `seed` or `random_state` by default.
        metric: the score; the AUC of two classes, the accuracy of more, the RMSE of numbers by default.
        spread: greatest standard deviation of the score over the trainings; 0 asks for none, and more needs the truth.
        failures: share of rows that may answer otherwise, on average over the trainings.
        seconds: no training begins that would end later, judged by the longest before it; the first one always does.
    """

    seeds: int = 3
    samples: int = 2
    by: Literal["", "pipeline", "clone"] = ""
    pipeline: str = ""
    seed: str = ""
    metric: str = ""
    spread: float = 0.0
    seconds: float = 60.0


class CalibrationTest(TestSettings, frozen=True, kw_only=True, tag="calibration"):
    """Probabilities mean what they say; needs the truth.

    Attributes:
        bins: of equal numbers of rows.
        ece: greatest expected calibration error, beyond what chance alone gives a calibrated model of so many rows.
    """

    bins: int = 15
    ece: float = 0.05


class FairnessTest(TestSettings, frozen=True, kw_only=True, tag="fairness"):
    """Groups of people or things are treated alike, as far as the rows can say; most measures need the truth.

    Attributes:
        by: columns whose values make the groups.
        intersections: groups of all columns together are looked at, too.
        measure: `selection` (share of positive predictions), `recall` (positives that are found), `false_positives`
            (negatives that are taken for positives), `accuracy`, or `error` (mean absolute error of a regression, in
            standard deviations of the truth).
        gap: greatest difference between a group and all other rows.
        confidence: that all intervals together hold.
        sure: whether the test passes only where every interval lies within the gap; else it fails only where one lies
            beyond it.
        min_rows: rows that a group needs to be judged.
        threshold: probability from which a row counts as positive.
    """

    by: tuple[str, ...] = ()
    intersections: bool = False
    measure: Literal["selection", "recall", "false_positives", "accuracy", "error"] = "accuracy"
    gap: float = 0.1
    confidence: float = 0.95
    sure: bool = False
    min_rows: int = 50
    threshold: float = 0.5


class AttackTest(TestSettings, frozen=True, kw_only=True, tag="attack"):
    """Somebody who may only ask needs more than a small change of the numbers to turn the answer.

    Attributes:
        attack: `search` (random directions, then a walk back along the best), or `hopskipjump` (Chen, Jordan and
            Wainwright 2020, by adversarial-robustness-toolbox: `charkh[adversarial]`).
        columns: that may be changed; all numbers by default.
        budget: greatest change of a column, in its robust standard deviations.
        queries: rows that may be asked for each attacked row.
        failures: share of attacked rows whose label may be turned.
        rows: that are attacked.
    """

    attack: Literal["search", "hopskipjump"] = "search"
    columns: tuple[str, ...] = ()
    budget: float = 0.1
    queries: int = 200
    failures: float = 0.2
    rows: int = 100


AnyTest = (
    RepeatTest
    | BatchTest
    | OrderTest
    | DuplicatesTest
    | ThreadsTest
    | CompiledTest
    | InvarianceTest
    | DirectionTest
    | NoiseTest
    | MissingTest
    | ScaleTest
    | UnseenTest
    | ChurnTest
    | RetrainTest
    | CalibrationTest
    | FairnessTest
    | AttackTest
)

USUAL: dict[str, AnyTest] = {
    "repeat": RepeatTest(),
    "batch": BatchTest(rows=200),
    "order": OrderTest(),
    "duplicates": DuplicatesTest(),
    "threads": ThreadsTest(rows=500),
    "compiled": CompiledTest(),
    "noise": NoiseTest(),
    "missing": MissingTest(),
    "scale": ScaleTest(),
    "unseen": UnseenTest(),
    "churn": ChurnTest(failures=0.2),
    "calibration": CalibrationTest(),
    "attack": AttackTest(failures=0.5),
}
"""The tests of a suite that names none; those that a model gives no occasion for are skipped, with the reason."""


class StabilitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[stability.NAME]`, or a file `stability/NAME.toml`: a suite of tests and what its certificate is worth.

    Attributes:
        model: that is tried; `NAME@champion` by default.
        on: the dataset whose rows are asked, such as `flights_june`; what the model was trained on by default.
        recipes: that prepare those rows, in order; none by default.
        target: the column with the truth, for the tests that need it; 0/1 for two classes, or a number.
        size: rows that are drawn at most.
        seed: of all draws; equal seeds give equal results.
        every: `charkh up` tries the model again after so long, such as `7d`, and whenever another version holds its
            alias; empty to do it by hand.
        expires: for how long a certificate counts.
        test: by name, the tests; the usual ones with none.
    """

    model: str = ""
    on: str = ""
    recipes: tuple[str, ...] = ()
    target: str = ""
    size: int = 2000
    seed: int = 0
    every: str = ""
    expires: str = "30d"
    test: dict[str, AnyTest] = {}


def check_stability(name: str, settings: StabilitySettings) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a duration cannot be read, or a number or column of a test has no meaning.
    """
    for length in (settings.expires, *((settings.every,) if settings.every else ())):
        parse_duration(length)
    if settings.size < 1:
        raise _invalid(name, "size", "be at least 1")
    for label, test in settings.test.items():
        if not _LABEL.fullmatch(label):
            raise _invalid(name, f"test {label!r}", "be named by letters, digits, - and _, as gates read it")
        _check_test(f"{name}.test.{label}", test)


def _check_test(where: str, test: AnyTest) -> None:
    if test.rows < 0:
        raise _invalid(where, "rows", "be a number of rows, or 0 for all")
    if isinstance(test, PerturbationTest | AttackTest) and not 0 <= test.failures <= 1:
        raise _invalid(where, "failures", "be a share between 0 and 1")
    if isinstance(test, InvarianceTest):
        if not test.columns:
            raise _invalid(where, "columns", "name what should not matter")
        if test.swap and (len(test.columns) != 2 or test.values):
            raise _invalid(where, "swap", "have exactly two columns and no values")
        if test.values and len(test.columns) != 1:
            raise _invalid(where, "values", "be for exactly one column")
    if isinstance(test, DirectionTest) and (not test.column or (test.add == 0 and test.times == 1)):
        raise _invalid(where, "column", "name a column, with `add` or `times`")
    if isinstance(test, MissingTest) and not 0 < test.share <= 1:
        raise _invalid(where, "share", "be a share above 0")
    if isinstance(test, BatchTest) and (not test.sizes or min(test.sizes) < 1):
        raise _invalid(where, "sizes", "be whole numbers from 1 on")
    if isinstance(test, FairnessTest):
        if not test.by:
            raise _invalid(where, "by", "name the columns that make the groups")
        if not 0.5 <= test.confidence < 1:
            raise _invalid(where, "confidence", "be from 0.5 up to below 1")
    if isinstance(test, AttackTest) and (test.budget <= 0 or test.queries < 1):
        raise _invalid(where, "budget", "be above 0, with at least one query")
    if isinstance(test, CalibrationTest) and test.bins < 1:
        raise _invalid(where, "bins", "be at least 1")
    if isinstance(test, RetrainTest):
        _check_retrain(where, test)
    if isinstance(test, RepeatTest) and test.times < 2:
        raise _invalid(where, "times", "be at least 2")
    if isinstance(test, ThreadsTest) and test.threads < 2:
        raise _invalid(where, "threads", "be at least 2")


def _check_retrain(where: str, test: RetrainTest) -> None:
    if min(test.seeds, test.samples) < 0 or not 1 <= test.seeds + test.samples <= MAX_TRAININGS:
        raise _invalid(where, "seeds", f"make, with samples, from 1 to {MAX_TRAININGS} trainings")
    if test.spread < 0:
        raise _invalid(where, "spread", "be 0 or more")
    if test.seconds <= 0:
        raise _invalid(where, "seconds", "be above 0")


def _invalid(where: str, key: str, what: str) -> Invalid:
    return Invalid(
        f"[stability.{where}] {key} must {what}",
        code="stability.invalid",
        hint="docs/guides/stability.md lists the kinds of tests and what each takes.",
    )
