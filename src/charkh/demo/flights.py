"""Will a flight from New York arrive more than 15 minutes late? The pipeline of the flights year."""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import charkh

TEXTS = ["carrier", "origin", "dest", "engine"]


class Params(charkh.Params):
    """What is chosen, and where a search may look."""

    rate: float = charkh.search(0.08, low=0.03, high=0.2, log=True)
    leaves: int = charkh.search(31, low=7, high=63)
    months: int = 4
    trials: int = 6


@charkh.step
def prepare(raw: charkh.Table, months: int) -> charkh.Split:
    """The newest `months` of flights, cleaned and checked; the last month is held out, unseen."""
    tidy = charkh.recipe("recipes/tidy.json")(raw)
    recent = tidy.since("scheduled_at", f"{months}mo")
    good = charkh.add("flights.clean", charkh.check("checks/flights.toml")(recent))
    features = charkh.recipe("recipes/features.json")(good)
    return charkh.split(features, target="late", time="scheduled_at", test="1mo", drop=["flight_id"])


@charkh.step
def train(data: charkh.Split, p: Params) -> charkh.Model:
    """Gradient-boosted trees, validated on the last fortnight of the training months."""
    fit, validate = data.train.split_off("14d")
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", texts, TEXTS)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(learning_rate=p.rate, max_leaf_nodes=p.leaves, max_iter=120, random_state=0)
    estimator = make_pipeline(columns, trees)
    estimator.fit(fit.X, fit.y)
    auc = float(roc_auc_score(validate.y, estimator.predict_proba(validate.X)[:, 1]))
    charkh.log(auc=auc)
    estimator.fit(data.train.X, data.train.y)
    return charkh.model(estimator, example=data.train.X.head(5), data=data, metrics={"validation_auc": auc})


@charkh.pipeline
def flights(p: Params = Params()) -> charkh.Registered:
    """From the raw records to a registered candidate, judged beside the champion on the held-out month."""
    data = prepare(charkh.dataset("flights"), p.months)
    best = charkh.tune(train, data, space=p, maximize="auc", trials=p.trials)
    report = charkh.evaluate(best, data.test, slices=["origin", "carrier"], blocks="day", against="delay@champion")
    return charkh.register("delay", best, report)
