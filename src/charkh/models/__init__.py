"""Registered, versioned models with their signatures, safety verdicts, aliases and history."""
