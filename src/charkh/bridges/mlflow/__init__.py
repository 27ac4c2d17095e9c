"""MLflow's REST protocol, answered from a charkh store: an unmodified MLflow client is a client of `charkh up`."""
