"""Queries of a file against what the service exports: warnings by name, errors when strict, and what was assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.build import Built, build_strategies
from scenarios.errors import ScenarioErrors
from scenarios.load import load_scenario

FILE = """\
apiVersion: rolloutlab/v1
kind: Scenario
service: {{name: shop, replicas: {replicas}}}
traffic: {{rate: 10/s}}
metrics: {metrics}
strategies:
  tested:
    canary:
      steps:
        - setWeight: 10
        - analysis:
            metrics:
              - name: errors
                query: {query}
                interval: 1m
                count: 3
                failureLimit: 1
                successCondition: result[0] < 0.05
"""


def built(folder: Path, query: str, *, metrics: str = "{}", replicas: int = 3, strict: bool = False) -> Built:
    path = folder / "file.yaml"
    path.write_text(FILE.format(query=f"'{query}'", metrics=metrics, replicas=replicas), encoding="utf-8")
    return build_strategies(load_scenario(path), strict=strict)


def test_a_series_that_nothing_exports_is_a_warning_by_name(tmp_path: Path) -> None:
    (warning,) = built(tmp_path, 'sum(rate(http_request_total{code="500"}[1m]))').warnings
    assert warning.startswith(
        "strategies.tested: nothing exports the series 'http_request_total'; did you mean 'http_requ"
    )
    assert "; the query goes on without it (query " in warning


def test_strict_makes_it_an_error_with_a_place(tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        built(tmp_path, 'sum(rate(http_requests_total{code="503"}[1m]))', strict=True)
    (error,) = caught.value.errors
    text = str(error)
    assert "file.yaml:7" in text
    assert "strategies.tested: no series of 'http_requests_total' has code=\"503\"" in text
    assert error.nearest == "500"
    assert set(error.known) == {"200", "500"}
    assert error.excerpt == (
        '    sum(rate(http_requests_total{code="503"}[1m]))',
        "             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
    )


def test_a_share_of_errors_without_a_dividend_is_a_warning_until_the_file_says_when_counters_begin(
    tmp_path: Path,
) -> None:
    query = 'sum(rate(http_requests_total{revision="canary",code=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))'
    (warning,) = built(tmp_path, query).warnings
    assert warning.startswith("strategies.tested: the query has no answer until a canary response has failed")
    assert "metrics.births.codes=first_event shows" in warning
    for births in ("start", "first_event"):
        assert built(tmp_path, query, metrics=f"{{births: {{codes: {births}}}}}").warnings == ()
    assert built(tmp_path, query.replace("[1m])) /", "[1m])) or vector(0) /")).warnings == ()


def test_what_is_known_says_nothing_and_is_assumed(tmp_path: Path) -> None:
    query = 'sum(rate(http_requests_total{namespace="prod", pod_template_hash="canary"}[1m])) < bool 1'
    found = built(tmp_path, query, strict=True)
    assert found.warnings == ()
    assert "metrics: namespace=prod in a query is taken as this service" in found.assumed
    assert "metrics: pod_template_hash=canary in a query is taken as the canary revision" in found.assumed


def test_the_scenario_says_what_its_names_are(tmp_path: Path) -> None:
    query = 'sum(rate(istio_requests_total{destination_service_name="shop-canary"}[1m]))'
    (warning,) = built(tmp_path, query).warnings
    assert "looks like the name of one revision" in warning
    assert built(tmp_path, query, metrics="{services: {stable: shop, canary: shop-canary}}").warnings == ()
    labels = "{labels: {canary: {destination_service_name: shop-canary}}}"
    assert built(tmp_path, query, metrics=labels).warnings == ()
    pods = 'sum(rate(http_requests_total{pod=~"shop-[a-z]+-[0-9]+"}[1m]))'
    assert built(tmp_path, pods).warnings == ()


def test_windows_of_queries_have_the_bounds_of_typed_ones(tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors, match="expected a window of at most 10000 scrapes, got 1h"):
        built(tmp_path, "sum(rate(istio_requests_total[1h]))", metrics="{scrapeInterval: 0.1s}")
    with pytest.raises(ScenarioErrors, match="do not fit into memory"):
        built(tmp_path, "sum by (le) (rate(http_request_duration_seconds_bucket[30m]))", replicas=1000)
    assert built(tmp_path, "sum by (le) (rate(istio_request_duration_milliseconds_bucket[30m]))", replicas=1000)


def test_a_time_of_the_calendar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioErrors, match="strategies.tested: @ fixes a time of the calendar") as caught:
        built(tmp_path, 'up{pod="@ 1"} - up @ 1700000000 / 2')
    assert caught.value.excerpt == ('    up{pod="@ 1"} - up @ 1700000000 / 2', "                       ^^^^^^^^^^^^")
    with pytest.raises(ScenarioErrors) as caught:
        built(tmp_path, "max_over_time(up[5m:1m] @ 7)")
    assert caught.value.excerpt[1] == "                            ^^^"


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        ("{jitter: 20s}", "expected a jitter below the scrapeInterval (15s), got 20s"),
        ("{missed: 120%}", "metrics.missed"),
        ("{outage: {from: 1m}}", "metrics.outage.for"),
        ("{outage: {from: 1m, for: 0s}}", "metrics.outage.for"),
        ("{births: {codes: never}}", "metrics.births.codes"),
        ("{births: {code: start}}", "unknown field"),
        ("{source: sidecar}", "metrics.source"),
        ("{labels: {canary: {a-b: c}}}", "metrics.labels.canary"),
        ("{services: {green: shop}}", "metrics.services"),
        ("{labels: {canary: {code: x}}}", "expected a label of your own, got 'code', which the simulator sets"),
        ("{labels: {stable: {__name__: x}}}", "expected a label of your own, got '__name__'"),
    ],
)
def test_words_about_scrapes_are_checked(tmp_path: Path, metrics: str, problem: str) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        built(tmp_path, "vector(1)", metrics=metrics)
    text = str(caught.value)
    assert problem in text
    assert "file.yaml:5" in text
