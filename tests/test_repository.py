"""What holds for the repository as a whole: what files may say, what the front page promises, what is public."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import click
import pytest

from scenarios import load_scenario

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("strategies", "scenarios", "sim", "chaos", "rolloutlab")
SKIPPED = {".git", ".venv", "out", "build", "dist", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache"}
TEXT = {"", ".cfg", ".csv", ".html", ".ipynb", ".j2", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}

# Written in pieces, so that this file does not name them.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("golang", "org"),
        ("rubygems", "org"),
        ("anaconda", "org"),
    ]
]
PLACES = ["/".join(("..", "shared")), "/".join(("", "work", ""))]

#: modules of more than 500 lines, and why they are not two; from 300 on, a review asks
LONG: dict[str, str] = {}


@cache
def files() -> tuple[Path, ...]:
    """The files of the repository: those that git knows or would add; without git, all that are no build product."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if SKIPPED.isdisjoint(path.relative_to(ROOT).parts)]
    else:
        found = [ROOT / name for name in listed if name]
    return tuple(sorted(path for path in found if path.is_file()))


def texts() -> list[tuple[str, str]]:
    """Name and content of all text files."""
    chosen = [path for path in files() if path.suffix in TEXT]
    return [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")) for path in chosen]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def project() -> dict[str, object]:
    return tomllib.loads(read("pyproject.toml"))


def blocks(name: str, language: str) -> list[str]:
    """The blocks of code of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(name), re.DOTALL | re.MULTILINE)


# --- what files may say ----------------------------------------------------------------------------------------------


def test_no_file_names_a_package_registry() -> None:
    found = [f"{name}: {host}" for name, text in texts() for host in REGISTRIES if host in text]
    assert not found, "where packages come from is the user's configuration"


def test_no_file_points_outside_the_repository() -> None:
    outside = re.compile("|".join(rf"(?<![\w.]){re.escape(place)}" for place in PLACES))
    found = [f"{name}: {match[0]}" for name, text in texts() for match in outside.finditer(text)]
    assert not found


def test_modules_are_short_or_say_why() -> None:
    sizes = {name: text.count("\n") for name, text in texts() if name.endswith(".py")}
    long = {name for name, size in sizes.items() if size > 500 and not name.startswith(("tests/", "benchmarks/"))}
    assert not long - LONG.keys(), "more than 500 lines: split it, or give the reason in LONG"


def test_tests_are_not_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests/sim would hide sim"


@pytest.mark.parametrize("name", [str(path.relative_to(ROOT)) for path in files() if path.suffix == ".md"])
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", read(name))
    missing = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
    assert not missing


# --- what the front page promises ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "tests/README.md", ".ci/run"])
def test_targets_that_a_page_names_exist(page: str) -> None:
    known = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", read(page), re.MULTILINE))
    assert named <= known


def test_the_scenario_of_the_front_page_is_valid(tmp_path: Path) -> None:
    (example,) = blocks("README.md", "yaml")
    path = tmp_path / "example.yaml"
    path.write_text(example, encoding="utf-8")
    loaded = load_scenario(path)
    assert not loaded.warnings


def test_commands_of_the_front_page_exist() -> None:
    from rolloutlab.cli import main

    lines = [line.removeprefix(".venv/bin/") for block in blocks("README.md", "sh") for line in block.splitlines()]
    named = {line.split()[1] for line in lines if line.startswith("rolloutlab ")}
    assert len(named) > 5
    assert named <= set(main.list_commands(click.Context(main)))


def test_help_loads_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "pandas", "matplotlib", "simpy", "joblib", "jinja2", "kubernetes", "pydantic")
    program = f"""
import sys
from rolloutlab.cli import main
main(["--help"], standalone_mode=False)
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_ci_runs_the_checks_and_the_test_command_of_the_front_page() -> None:
    commands = re.findall(r"^make ([a-z-]+)", blocks("README.md", "sh")[0], re.MULTILINE)
    assert commands == ["demo", "test"]
    assert "for target in check test;" in read(".ci/run")
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_changelog_has_lines() -> None:
    assert re.search(r"^## Unreleased$.*?^- \w", read("CHANGELOG.md"), re.DOTALL | re.MULTILINE)


# --- what is public --------------------------------------------------------------------------------------------------

#: Names that users may rely on. A new one is added here and in CHANGELOG.md; one that goes is a breaking change.
PUBLIC = {
    "chaos": "",
    "rolloutlab": "Asked Result compare judge predict scenario simulate",
    "scenarios": "Loaded Place Scenario ScenarioError ScenarioErrors Trace load_scenario read_trace",
    "sim": "Cell Profile Study simulate trace_one",
    "strategies": """
        blue_green canary rolling rollback
        AnalysisStep CanaryScaleStep PauseStep SetWeightStep
        Analysis Condition Metric Query
        Abort Fate Inconclusive Outcome Program Release Strategy
    """,
}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_frozen(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(PUBLIC[package].split())
    assert all(hasattr(module, name) for name in module.__all__)
    assert read(f"{package}/__init__.py").count("\n") <= 40


# --- what is installed -----------------------------------------------------------------------------------------------


def test_locks_pin_every_package_by_hash_and_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("lock-*.txt"):
        text = path.read_text(encoding="utf-8")
        for entry in re.split(r"\n(?=\S)", text):
            if not entry.startswith("#") and entry.strip():
                assert re.match(r"[\w.-]+==[\w.+-]+", entry), f"{path.name}: {entry[:60]}"
                assert "--hash=sha256:" in entry, f"{path.name}: {entry[:60]}"
        assert "://" not in text


def test_every_dependency_is_locked() -> None:
    described = project()["project"]
    assert isinstance(described, dict)
    extras = described["optional-dependencies"]
    wanted = [*described["dependencies"], *(one for extra in extras.values() for one in extra)]
    names = {re.split(r"[^\w.-]", one)[0].replace(".", "-").replace("_", "-") for one in wanted} - {"rolloutlab"}
    locked = set(re.findall(r"^([\w.-]+)==", read("requirements/lock-all.txt"), re.MULTILINE))
    assert names <= locked
    assert {"simpy", "numpy", "scipy", "matplotlib", "kubernetes", "jupyter", "pytest"} <= names


@pytest.mark.slow
def test_the_wheel_holds_the_data(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for path in files() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert wanted <= held
    assert {f"{package}/py.typed" for package in PACKAGES} <= held
    assert not [name for name in held if name.split("/")[0] not in PACKAGES and ".dist-info/" not in name]
