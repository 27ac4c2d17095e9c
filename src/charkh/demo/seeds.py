"""Are the champion's params better than the first guess, or was it the seed? Some seeds of each, as runs.

python seeds.py RATE LEAVES        # the champion's; the first guess is what flights.Params says
"""

import sys

from flights import NO_FEATURES, Params, trees
from sklearn.metrics import roc_auc_score

import charkh

SEEDS = range(6)
ROWS = 12_000
"""Flights that each model learns from: enough to compare params by, and soon done."""


def main(rate: float, leaves: int) -> None:
    """Train and log each."""
    table = charkh.recipe("recipes/features.json")(charkh.dataset("flights.clean"))
    data = charkh.split(table, target="late", time="scheduled_at", test="1mo", drop=NO_FEATURES)
    learnt, judged = data.train.frame.sample(ROWS, seed=0), data.test.frame
    features = list(data.train.features)
    for name, chosen in (("first guess", Params()), ("champion", Params(rate=rate, leaves=leaves))):
        for seed in SEEDS:
            params = {"rate": chosen.rate, "leaves": chosen.leaves, "seed": seed}
            tags = {"of": name}
            with charkh.run(
                f"{name}, seed {seed}", params=params, tags=tags, project="flights/seeds", goals={"auc": "max"}
            ) as run:
                for dataset in table.origins:
                    run.use(dataset)
                model = trees(chosen)
                model[-1].set_params(random_state=seed, max_iter=60)
                model.fit(learnt.select(features), learnt["late"])
                prepared = model[:-1].transform(judged.select(features))
                for step, scores in enumerate(model[-1].staged_predict_proba(prepared)):
                    if step % 5 == 4:
                        run.log({"auc": float(roc_auc_score(judged["late"], scores[:, 1]))}, step=step)
                print(f"{name}, seed {seed}: {model[-1].n_iter_} rounds")  # noqa: T201 - the run keeps what it prints


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
