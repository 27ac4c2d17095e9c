"""Ordered, replayable cleaning steps: the same in training and for live requests."""
