"""Measurements of the engines, as ratios inside one run: `python -m benchmarks [--quick]`, or `make bench`."""
