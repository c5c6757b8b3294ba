"""The model world: a simulated cluster, its requests, and the engines that run strategies in it.

Array axes are letters, said once: R replications, V revisions (0 stable, 1 canary), G regimes (which of the faults
that begin late have begun), C classes of responses, T scrapes, B bins of time.
Times of the control plane are whole microseconds (`_us`), everything else is in the unit of its name.
"""

from sim.results import Cell, Profile, Study
from sim.study import simulate, trace_one

__all__ = ["Cell", "Profile", "Study", "simulate", "trace_one"]
