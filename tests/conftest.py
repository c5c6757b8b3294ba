"""What every test gets: one hypothesis profile, no window system, golden files, and the corpus where it is present."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"

# Deadlines measure the machine, not the code. CI judges a change by the same examples each time; runs by hand explore.
settings.register_profile(
    "rolloutlab",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rolloutlab")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-rewrite", action="store_true", help="write golden files instead of comparing with them")


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text does not depend on the terminal that runs the tests."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` fails with a difference unless tests/golden/NAME holds the text."""
    rewrite = request.config.getoption("--golden-rewrite")

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        wanted = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="")
            pytest.fail("\n".join([*lines, "if the change is meant: make golden"]), pytrace=False)

    return compare


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A folder of example manifests of other projects, which this repository does not hold."""
    name = os.environ.get("ROLLOUTLAB_CORPUS")
    if not name:
        pytest.skip("example manifests of other projects: set ROLLOUTLAB_CORPUS to a folder that holds them")
    return Path(name)
