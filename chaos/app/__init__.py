"""The application under test: a small HTTP service that can be told to be slow, to fail, to leak and to crash.

`python -m chaos.app` takes its settings from the environment (`chaos.app.settings`); `serve` runs one in a process that
was forked for it. The same program stands in the image of a cluster drill.
"""

from __future__ import annotations

from chaos.app.process import serve

__all__ = ["serve"]
