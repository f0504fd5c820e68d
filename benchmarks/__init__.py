"""Measurements of coopt beside the papers' own ways of computing the same: `python -m benchmarks.speed`."""
