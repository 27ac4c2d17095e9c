import numpy as np
import optuna
import statsmodels.api as sm

import charkh

charkh.autolog("statsmodels", "optuna")
optuna.logging.set_verbosity(optuna.logging.ERROR)
generator = np.random.default_rng(0)
x = generator.normal(size=(100, 2))
with charkh.run("ols"):
    sm.OLS(x @ [1.0, -2.0] + 0.1 * generator.normal(size=100), sm.add_constant(x)).fit()


def objective(trial):
    rate = trial.suggest_float("rate", 0.0, 1.0)
    charkh.log(loss=(rate - 0.3) ** 2, step=0)
    if trial.number == 1:
        raise optuna.TrialPruned
    return (rate - 0.3) ** 2


optuna.create_study(study_name="search", sampler=optuna.samplers.RandomSampler(seed=0)).optimize(objective, n_trials=3)
