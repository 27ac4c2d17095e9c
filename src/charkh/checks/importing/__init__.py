"""Suites of other validators, carried over rule by rule; what has no equal here is named with the reason."""
