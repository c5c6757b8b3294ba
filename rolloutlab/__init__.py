"""Know what a rollout will do to your users before you apply it: `import rolloutlab as lab`.

`lab.simulate`, `lab.compare`, `lab.predict` and `lab.judge` run; `lab.scenario` reads a file and changes it. Names are
imported when they are first used, so that the command line starts at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rolloutlab.judging.door import judge
    from rolloutlab.python_door import compare, predict, scenario, simulate
    from rolloutlab.question import Asked
    from rolloutlab.result import Result

__all__ = ["Asked", "Result", "compare", "judge", "predict", "scenario", "simulate"]

_HOMES = {"Asked": "rolloutlab.question", "Result": "rolloutlab.result", "judge": "rolloutlab.judging.door"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rolloutlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES.get(name, "rolloutlab.python_door")), name)


def __dir__() -> list[str]:
    return __all__
