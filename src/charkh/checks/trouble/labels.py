"""Wrong labels by confident learning: rows whose own label the data itself does not believe.

Northcutt, Jiang, Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70. A class's
threshold is the mean probability of that class over the rows that carry it; a row that passes the threshold of another
class counts towards that class in the confident joint. Of each pair of classes, as many rows as the calibrated joint
says are pruned, those with the greatest margins first ("prune by noise rate").
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.checks.trouble.trouble import Rows, Trouble, trouble
from charkh.core.errors import Invalid

Floats = npt.NDArray[np.float64]


class LabelIssues(NamedTuple):
    """Rows that are likely to carry a wrong label.

    Attributes:
        rows: places of the rows, the worst first.
        suggested: for each, the class that the data believes, as its place among the classes.
        margins: for each, probability of the suggested class minus that of its own; greater is worse.
        joint: estimated joint distribution, (given label, true label); its entries sum to 1.
    """

    rows: Rows
    suggested: npt.NDArray[np.int64]
    margins: Floats
    joint: Floats


def label_issues(labels: npt.NDArray[np.int64], probabilities: Floats) -> LabelIssues:
    """Find likely wrong labels.

    Args:
        labels: class of each row, as its place among the classes; shape (rows,).
        probabilities: *out-of-sample* probability of each class; shape (rows, classes), rows sum to 1.

    Raises:
        Invalid: shapes differ, a class has no row, or something is no probability.
    """
    rows, classes = _checked(labels, probabilities)
    own = probabilities[np.arange(rows), labels]
    counts = np.bincount(labels, minlength=classes).astype(np.int64)
    thresholds = np.bincount(labels, weights=own, minlength=classes) / counts
    passing = np.where(probabilities >= thresholds[None, :], probabilities, -1.0)
    believed = passing.argmax(axis=1)
    confident = passing.max(axis=1) >= 0
    joint = _joint(labels, believed, confident, counts)
    margins = probabilities.max(axis=1) - own
    chosen: list[tuple[float, int, int]] = []
    for given in range(classes):
        for true in range(classes):
            if given == true:
                continue
            candidates = np.flatnonzero((labels == given) & (probabilities.argmax(axis=1) == true))
            excess = probabilities[candidates, true] - own[candidates]
            most = round(joint[given, true] * rows)
            worst = candidates[np.argsort(-excess, kind="stable")][:most]
            chosen.extend((float(probabilities[place, true] - own[place]), int(place), true) for place in worst)
    kept = sorted((item for item in chosen if item[0] > 0), key=lambda item: (-item[0], item[1]))
    places = np.array([place for _, place, _ in kept], dtype=np.int64)
    suggested = np.array([true for _, _, true in kept], dtype=np.int64)
    return LabelIssues(places, suggested, margins[places], joint)


def wrong_labels(column: str, given: Sequence[str], classes: Sequence[str], probabilities: Floats) -> list[Trouble]:
    """The trouble of a column of labels, with the class that is suggested for each row.

    Args:
        column: its name.
        given: the labels; a row without one is not judged and must not be here.
        classes: the classes in the order of the probabilities.
        probabilities: out-of-sample, shape (rows, classes).

    Raises:
        Invalid: a label is none of the classes, or the shapes differ.
    """
    number = {name: place for place, name in enumerate(classes)}
    unknown = next((label for label in given if label not in number), None)
    if unknown is not None:
        raise Invalid(
            f"{column!r} has the label {unknown!r}, for which there is no probability",
            code="check.unknown_label",
            hint=f"Probabilities were given for: {', '.join(classes[:20])}.",
        )
    issues = label_issues(np.array([number[label] for label in given], dtype=np.int64), probabilities)
    if not len(issues.rows):
        return []
    order = np.argsort(issues.rows, kind="stable")
    noise = 1.0 - float(np.trace(issues.joint))
    message = f"{len(issues.rows)} rows are likely to be wrong in {column!r}; about {noise:.1%} of all labels are"
    return [
        trouble(
            "label",
            (column,),
            issues.rows[order],
            len(given),
            message,
            scores=issues.margins[order],
            suggestions=[classes[int(place)] for place in issues.suggested[order]],
        )
    ]


def _joint(
    labels: npt.NDArray[np.int64],
    believed: npt.NDArray[np.int64],
    confident: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.int64],
) -> Floats:
    """The confident joint, each row scaled to how often its label is given, as a distribution."""
    classes = len(counts)
    pairs = labels[confident] * classes + believed[confident]
    joint = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.float64)
    # A label that nobody is confident about is taken for right.
    joint[joint.sum(axis=1) == 0] = np.eye(classes)[joint.sum(axis=1) == 0]
    joint = joint / joint.sum(axis=1, keepdims=True) * counts[:, None]
    return joint / joint.sum()


def _checked(labels: npt.NDArray[np.int64], probabilities: Floats) -> tuple[int, int]:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or probabilities.shape[1] < 2:
        raise Invalid(
            f"{labels.shape} labels do not go with probabilities of shape {probabilities.shape}",
            code="check.bad_probabilities",
            hint="Give one row of probabilities a label, with a column for each of at least two classes.",
        )
    rows, classes = probabilities.shape
    if (
        not np.isfinite(probabilities).all()
        or (probabilities < 0).any()
        or (abs(probabilities.sum(axis=1) - 1) > 0.01).any()
    ):
        raise Invalid(
            "some probabilities are negative, missing, or do not add up to 1 in their row",
            code="check.bad_probabilities",
            hint="Give what predict_proba gives.",
        )
    if rows and (labels.min() < 0 or labels.max() >= classes or (np.bincount(labels, minlength=classes) == 0).any()):
        raise Invalid(
            "a class has no row, or a label is none of the classes",
            code="check.bad_labels",
            hint="Leave out classes that no row carries.",
        )
    return rows, classes
