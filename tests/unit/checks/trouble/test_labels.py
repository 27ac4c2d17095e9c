"""Confident learning: flipped labels are found, clean ones are left, and what is no probability is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.trouble.labels import label_issues, wrong_labels
from charkh.core.errors import Invalid


def noisy(seed: int, rows: int, flips: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(given labels, probabilities that know better, places of the flipped labels)."""
    source = np.random.default_rng(seed)
    true = source.integers(0, classes, rows)
    probabilities = source.dirichlet(np.ones(classes), rows) * 0.2
    probabilities[np.arange(rows), true] += 0.8
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    flipped = source.choice(rows, flips, replace=False)
    given_labels = true.copy()
    given_labels[flipped] = (true[flipped] + 1) % classes
    return given_labels.astype(np.int64), probabilities, np.sort(flipped)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 40))
def test_flipped_labels_are_found_and_no_others(seed: int, flips: int) -> None:
    labels, probabilities, flipped = noisy(seed, 600, flips)
    issues = label_issues(labels, probabilities)
    assert set(issues.rows.tolist()) <= set(flipped.tolist())
    assert len(issues.rows) >= 0.6 * flips - 4
    assert (issues.suggested == probabilities[issues.rows].argmax(axis=1)).all()
    assert issues.joint.sum() == pytest.approx(1.0)
    assert list(issues.margins) == sorted(issues.margins, reverse=True)


def test_the_trouble_says_what_should_stand_there() -> None:
    labels, probabilities, flipped = noisy(1, 400, 12)
    names = ["early", "late", "on time"]
    (found,) = wrong_labels("label", [names[label] for label in labels], names, probabilities)
    assert found.rows.tolist() == sorted(found.rows.tolist())
    assert set(found.rows.tolist()) <= set(flipped.tolist())
    assert [names.index(text) for text in found.suggestions] == probabilities[found.rows].argmax(axis=1).tolist()
    assert found.finding.kind == "label"
    assert found.finding.rows == len(found.rows)


def test_clean_labels_are_no_trouble() -> None:
    labels, probabilities, _ = noisy(2, 300, 0)
    assert wrong_labels("label", [str(label) for label in labels], ["0", "1", "2"], probabilities) == []


@pytest.mark.parametrize(
    "probabilities",
    [
        np.array([[0.5, 0.5], [0.7, 0.7]]),
        np.array([[1.5, -0.5], [0.5, 0.5]]),
        np.array([[np.nan, 1], [0.5, 0.5]]),
        np.ones((3, 2)) / 2,
    ],
)
def test_what_is_no_probability_is_refused(probabilities: np.ndarray) -> None:
    with pytest.raises(Invalid) as raised:
        label_issues(np.array([0, 1]), probabilities)
    assert raised.value.code == "check.bad_probabilities"


def test_a_label_without_probability_is_named() -> None:
    with pytest.raises(Invalid) as raised:
        wrong_labels("label", ["a", "x"], ["a", "b"], np.ones((2, 2)) / 2)
    assert "'x'" in raised.value.message
