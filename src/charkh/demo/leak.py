"""What a colleague in a hurry tries: a model that looks splendid on paper, because it knows how late the flight left.

`charkh.split` would have refused `dep_delay`, which nobody knows before departure. Nobody asked it.
"""

import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import charkh

KNOWN = ["dep_delay", "distance", "hour"]


def main() -> None:
    """Train, score and register it; its AUC is printed, and it is nobody's champion."""
    flights = charkh.dataset("flights.clean")
    rows = flights.frame.drop_nulls(KNOWN)
    cut = rows.select(pl.col("scheduled_at").max().dt.month_start()).item()
    early, late = rows.filter(pl.col("scheduled_at") < cut), rows.filter(pl.col("scheduled_at") >= cut)
    model = LogisticRegression(max_iter=500).fit(early.select(KNOWN), early["late"])
    auc = float(roc_auc_score(late["late"], model.predict_proba(late.select(KNOWN))[:, 1]))
    named = charkh.model(model, example=early.select(KNOWN).head(5), data=flights, metrics={"auc_on_paper": auc})
    version = charkh.register("delay", named).version
    print(f"{version.ref} {auc:.3f}")  # noqa: T201 - the demo reads it


if __name__ == "__main__":
    main()
