"""Measurements of facediff against what it must reach: ``python -m benchmarks --help``."""
