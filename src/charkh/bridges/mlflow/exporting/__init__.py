"""Projects, runs and models of this store, as MLflow keeps them."""
