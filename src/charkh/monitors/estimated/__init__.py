"""Performance that nobody has measured yet: what the scores, or a model of the errors, lead to expect."""
