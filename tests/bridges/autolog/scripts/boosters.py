# ruff: noqa: E402 (what is tested is that a library is imported after the recording was switched on)
import charkh

charkh.autolog("xgboost", "lightgbm", "catboost", models=True)

import catboost
import lightgbm
import numpy as np
import xgboost
from sklearn.datasets import make_classification

rows, truth = make_classification(200, 5, random_state=0)
train, held = xgboost.DMatrix(rows[:150], truth[:150]), xgboost.DMatrix(rows[150:], truth[150:])
with charkh.run("xgboost"):
    xgboost.train(
        {"max_depth": 3, "objective": "binary:logistic"}, train, 5, evals=[(held, "held")], verbose_eval=False
    )
xgboost.XGBClassifier(n_estimators=4).fit(rows[:150], truth[:150], eval_set=[(rows[150:], truth[150:])], verbose=False)
with charkh.run("lightgbm"):
    data = lightgbm.Dataset(rows[:150], truth[:150])
    watched = lightgbm.Dataset(rows[150:], truth[150:], reference=data)
    settings = {"num_leaves": 4, "objective": "binary", "verbose": -1, "metric": ["auc", "binary_logloss"]}
    lightgbm.train(settings, data, 6, valid_sets=[watched], valid_names=["held"])
with charkh.run("catboost"):
    model = catboost.CatBoostClassifier(iterations=5, depth=2, verbose=False, allow_writing_files=False)
    model.fit(rows[:150], truth[:150], eval_set=(rows[150:], truth[150:]))
assert np.isfinite(model.predict_proba(rows)).all()
