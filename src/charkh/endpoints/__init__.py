"""Served models: deployments, the inference protocol, and the log of every prediction."""
