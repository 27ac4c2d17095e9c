"""Datasets: named, versioned files and tables on top of assets."""
