"""OpenLineage: what datasets are and what runs did, as its events."""
