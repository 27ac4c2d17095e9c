"""Watching served models: drift, data quality, performance against late truth, and alerts."""
