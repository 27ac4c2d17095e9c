"""Webhooks: who outside is told of which facts, and how what is sent is written and signed."""
