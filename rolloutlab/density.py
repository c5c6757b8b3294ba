"""The density of a sample of the model, for likelihoods of what was measured."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
HALF_CHI_SQUARED: Final = 1.92  #: 95 % of chi-squared with one degree, halved
FLOOR: Final = 1e-4  #: of a density, in kernels: one wild value must not decide alone
_MOST_BINS: Final = 100_000


def kernel_width(sample: FloatArray) -> float:
    """Standard deviation of a Gaussian kernel for a sample.

    Source:
        Silverman's rule of thumb (1986, 3.31).
    """
    spread = min(float(np.std(sample)), float(np.subtract(*np.quantile(sample, [0.75, 0.25]))) / 1.34)
    return float(0.9 * spread * len(sample) ** -0.2)


def density(places: FloatArray, at: FloatArray, width: float) -> FloatArray:
    """Of a sorted sample at some places, shape of `at`; by a histogram of it that is finer than the kernel.

    Args:
        width: standard deviation of the kernel.
    """
    step = width / 4
    low = float(places[0]) - 5 * width
    count = min(_MOST_BINS, math.ceil((float(places[-1]) + 5 * width - low) / step) + 1)
    edges = low + step * np.arange(count + 1)
    filled, _ = np.histogram(places, edges)
    kernel = np.exp(-0.5 * (np.arange(-20, 21) / 4.0) ** 2)
    smooth = np.convolve(filled, kernel / kernel.sum(), mode="same") / (len(places) * step)
    found: FloatArray = np.interp(at, edges[:-1] + step / 2, smooth, left=0.0, right=0.0)
    return found
