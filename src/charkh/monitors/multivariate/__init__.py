"""Drift of many columns at once, and of columns of vectors: tests whose null is made by permuting whole blocks."""
