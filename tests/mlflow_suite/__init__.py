"""MLflow's own tests of its REST client, run against charkh: `scripts/mlflow-suite CHECKOUT`."""
