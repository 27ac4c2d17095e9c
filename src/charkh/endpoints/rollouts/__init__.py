"""Candidates let in beside a champion: shares, routes, shadows, bandits, and when they are judged."""
