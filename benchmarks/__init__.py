"""Figures of the README: every module here is a command, `python -m benchmarks.NAME`, that prints what it measures."""
