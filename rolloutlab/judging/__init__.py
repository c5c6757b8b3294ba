"""Calibration cards: how often a judge takes back a good release, how late it sees a bad one, and how far that is
from what no judge can beat."""
