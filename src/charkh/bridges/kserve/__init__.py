"""What KServe runs and speaks: its manifests, and its first protocol."""
