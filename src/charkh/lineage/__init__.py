"""Edges and typed facts over all nouns: what anything was made from, and what is known about it."""
