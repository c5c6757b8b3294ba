"""Measurements of the engines, as ratios inside one run: `python -m benchmarks [--quick]`, or `make bench`."""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one thread, set before anything imports numpy
    os.environ[_name] = "1"
