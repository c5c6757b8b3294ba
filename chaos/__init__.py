"""The real worlds: drills with real processes on one machine, and in a Kubernetes cluster. Nothing is here yet."""

from __future__ import annotations

__all__: list[str] = []
