"""Narrow Protocols between the capabilities and the media that hold their facts, bytes, work and models."""
