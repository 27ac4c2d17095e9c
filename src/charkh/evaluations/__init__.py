"""Scores with intervals, slices, calibration and a paired comparison with the champion; evidence for gates."""
