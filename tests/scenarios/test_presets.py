"""Presets: the figures they state follow from their steps, and each is a valid scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios import load_scenario
from scenarios.presets import schedules, services
from scenarios.units import duration

#: (minutes, full-traffic minutes) as published with each schedule
PUBLISHED = {
    "classic-30": (30, 8.0),
    "script-55": (55, 28.6),
    "argo-35": (35, 12.25),
    "ladder-75": (75, 22.0),
    "netflix-90": (90, 6.3),
    "high-65": (65, 15.85),
    "medium-50": (50, 15.25),
    "low-40": (40, 15.0),
}


def test_all_schedules_are_there() -> None:
    assert set(schedules()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_minutes_follow_from_the_steps(name: str) -> None:
    schedule = schedules()[name]
    weight, minutes, full = 0.0, 0.0, 0.0
    for step in schedule.steps:
        if "setWeight" in step:
            assert step["setWeight"] > weight, "weights rise"
            weight = step["setWeight"]
        else:
            pause = duration(step["pause"]["duration"]) / 60
            minutes, full = minutes + pause, full + weight / 100 * pause
    assert (minutes, full) == (schedule.minutes, pytest.approx(schedule.full_traffic_minutes, rel=1e-12))
    assert (minutes, full) == pytest.approx(PUBLISHED[name], rel=1e-12)


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_is_a_valid_scenario(tmp_path: Path, name: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(f"apiVersion: rolloutlab/v1\nservice: {name}\nstrategies: {{a: {{rollingUpdate: {{}}}}}}\n")
    loaded = load_scenario(path)
    assert loaded.scenario.service.name == name
    assert not loaded.warnings
