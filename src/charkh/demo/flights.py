"""Will a flight from New York arrive more than 15 minutes late? The pipeline of the flights year."""

import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import charkh

TEXTS = ["carrier", "origin", "dest", "engine"]
NO_FEATURES = ["flight_id", "day"]


class Params(charkh.Params):
    """What is chosen, and where a search may look."""

    rate: float = charkh.search(0.08, low=0.03, high=0.2, log=True)
    leaves: int = charkh.search(31, low=7, high=63)
    months: int = 4
    trials: int = 6


@charkh.step
def prepare(raw: charkh.Table, months: int) -> charkh.Split:
    """The newest months of flights, cleaned and checked; the last one is held out, unseen."""
    tidy = charkh.recipe("recipes/flights.json")(raw)
    good = charkh.check("checks/flights.toml")(since_months(tidy, months))
    kept = charkh.add("flights.clean", good)
    charkh.add("flights.heldout", since_months(good, 1))
    features = charkh.recipe("recipes/features.json")(kept)
    return charkh.split(features, target="late", time="scheduled_at", test="1mo", drop=NO_FEATURES)


@charkh.step
def train(data: charkh.Split, p: Params) -> charkh.Model:
    """Gradient-boosted trees; their params are judged on the last fortnight of the training months."""
    rows = data.train.frame
    cut = rows.select(pl.col("scheduled_at").max().dt.offset_by("-14d")).item()
    early, late = rows.filter(pl.col("scheduled_at") < cut), rows.filter(pl.col("scheduled_at") >= cut)
    features = list(data.train.features)
    tried = trees(p).fit(early.select(features), early["late"])
    auc = roc_auc_score(late["late"], tried.predict_proba(late.select(features))[:, 1])
    charkh.log(auc=float(auc))
    final = trees(p).fit(data.train.X, data.train.y)
    spread = data.train.X.gather_every(len(data.train.X) // 10).head(10)
    return charkh.model(final, example=spread, data=data, metrics={"validation_auc": float(auc)})


@charkh.pipeline
def flights(p: Params = Params()) -> charkh.Registered:
    """From the raw records to a registered candidate, judged beside the champion on the held-out month."""
    data = prepare(charkh.dataset("flights"), p.months)
    best = charkh.tune(train, data, space=p, maximize="auc", trials=p.trials)
    report = charkh.evaluate(best, data.test, slices=["origin", "carrier"], blocks="day", against="delay@champion")
    return charkh.register("delay", best, report)


def since_months(table: charkh.Table, months: int) -> charkh.Table:
    """The rows of the newest calendar months."""
    time = pl.col("scheduled_at")
    first = time.max().dt.month_start().dt.truncate("1d").dt.offset_by(f"-{months - 1}mo")
    return table.having(table.frame.filter(time >= first))


def trees(p: Params) -> Pipeline:
    """The estimator: texts as numbers, the rest as it is."""
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", texts, TEXTS)], remainder="passthrough")
    boosted = HistGradientBoostingClassifier(
        learning_rate=p.rate, max_leaf_nodes=p.leaves, max_iter=120, random_state=0
    )
    return make_pipeline(columns, boosted)
