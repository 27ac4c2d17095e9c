"""Trouble in a table that no rule was written for: repeated rows, leaks, wrong labels, outliers, personal data."""
