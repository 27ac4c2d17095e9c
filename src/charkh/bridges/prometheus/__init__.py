"""Prometheus: rules over what charkh counts, a configuration that scrapes it, and where its servers are."""
