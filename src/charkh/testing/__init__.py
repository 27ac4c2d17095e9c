"""Conformance suites for every port, and stores in memory, shipped so that others can prove their adapters."""
