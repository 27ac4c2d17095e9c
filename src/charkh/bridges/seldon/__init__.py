"""What Seldon runs and speaks: its manifests, and the protocol of its first version."""
