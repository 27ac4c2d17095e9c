from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import charkh

charkh.autolog("sklearn")
rows, truth = make_classification(200, 5, random_state=0)
StandardScaler().fit(rows)
RandomForestClassifier(n_estimators=7, max_depth=3, random_state=0).fit(rows, truth)
with charkh.run("mine"):
    make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(rows, truth)
GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(rows, truth)
