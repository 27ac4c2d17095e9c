import xgboost
from sklearn.datasets import make_classification

import charkh

charkh.autolog("xgboost")
rows, truth = make_classification(50, 5, random_state=0)


class Strange(xgboost.DMatrix):
    pass


xgboost.train({"odd": object}, Strange(rows, truth), 2)
charkh.bridges.autolog.switch.switch_off()
xgboost.train({}, Strange(rows, truth), 2)
