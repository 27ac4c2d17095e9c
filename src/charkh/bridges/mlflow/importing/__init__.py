"""What an MLflow store keeps, as projects, runs and models of this one."""
