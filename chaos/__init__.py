"""The real worlds: drills with real processes on one machine (and, later, in a Kubernetes cluster)."""

from __future__ import annotations

__all__: list[str] = []
