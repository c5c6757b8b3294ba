"""Drills at set times: the objects that a cluster needs for it, as text to read before it is applied."""
