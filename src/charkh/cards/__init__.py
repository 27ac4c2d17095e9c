"""Model and dataset cards: generated from what is known, completed by people, linted, and rendered."""
