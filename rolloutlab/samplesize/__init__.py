"""How many requests it takes: each number beside the question that it answers.

Several numbers go by the name of sample size, and they differ by a factor of ten. Here they stand side by side, for one
change of an error ratio, each with its question, its exact power and, where the traffic is known, its time.
`wanted.py` says what may be asked, `answers.py` computes, `show.py` prints.
"""

from __future__ import annotations

from rolloutlab.samplesize.answers import Sizes, sizes
from rolloutlab.samplesize.wanted import Split, Wanted, split, split_of_weight

__all__ = ["Sizes", "Split", "Wanted", "sizes", "split", "split_of_weight"]
