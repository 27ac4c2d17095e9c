"""Judge labels with a model that has not seen them, for the search for wrong ones."""

import polars as pl

from charkh.checks.trouble.search import Judged
from charkh.core.errors import Unavailable


def judge_labels(frame: pl.DataFrame, target: str) -> Judged:
    """Out-of-sample probabilities of a column of labels.

    Raises:
        Unavailable: scikit-learn is not installed.
        Invalid: the column is no column of classes.
    """
    try:
        # Here, because no other search needs scikit-learn.
        from charkh.runtimes.sklearn_folds import out_of_sample
    except ImportError as error:
        raise Unavailable(
            "labels are judged by scikit-learn, which is not installed",
            code="check.no_sklearn",
            hint="Install it: pip install 'charkh[sklearn]'; or leave the kind `label` out.",
        ) from error
    found = out_of_sample(frame, target)
    return Judged(found.classes, found.probabilities)
