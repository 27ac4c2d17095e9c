"""Runs: recorded executions with their params, metrics, artifacts and provenance."""
