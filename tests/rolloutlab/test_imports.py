"""Help costs nothing: no library is imported before a command runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "scipy", "pandas", "matplotlib", "pydantic", "rich", "jinja2", "simpy", "ruamel", "joblib"}


def imported(*words: str) -> set[str]:
    """The top packages that a command line imports."""
    code = (
        "import json, sys\n"
        "from rolloutlab.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words",
    [("--help",), ("simulate", "--help"), ("compare", "--help"), ("predict", "--help"), ("demo", "--help"),
     ("scenarios", "--help"), ("scenarios", "show", "--help"), ("completion", "bash"), ("--version",)],
    ids=" ".join,
)  # fmt: skip
def test_help_imports_no_library(words: tuple[str, ...]) -> None:
    assert not imported(*words) & HEAVY


def test_the_package_itself_imports_no_library() -> None:
    code = "import rolloutlab, sys; print({n.split('.')[0] for n in sys.modules} & set(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_simulation_needs_no_plots_and_no_frames() -> None:
    names = imported("simulate", "rolling-5-1-1", "--runs", "64", "-o", "json", "--set", "expect=[]")
    assert not names & {"matplotlib", "pandas"}
