"""Studies: searches over params, whose trials are runs and whose truth is events."""
