"""The native node, and the programs that put faults into its pods from outside (see README.md there)."""
