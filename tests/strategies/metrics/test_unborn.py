"""Queries that wait for the first failed response, told apart from those that do not."""

from __future__ import annotations

import pytest

from strategies.metrics.exported import Facts
from strategies.metrics.promql import parse
from strategies.metrics.unborn import waits_for_a_failure

BAD = 'sum(rate(http_requests_total{revision="canary", code=~"5.."}[5m]))'
ALL = 'sum(rate(http_requests_total{revision="canary"}[5m]))'
FACTS = Facts(service="web", services={"canary": "web-canary"})


@pytest.mark.parametrize(
    "text",
    [
        f"{BAD} / {ALL}",
        BAD,
        f"1 - {BAD} / {ALL}",
        f"scalar({BAD} / {ALL})",
        'sum(irate(http_requests_total{service="web-canary", status=~"5.*"}[1h]))',
        'max_over_time((sum(rate(http_requests_total{revision="canary", code="500"}[1m])) / 2)[10m:1m])',
        'sum(rate(http_requests_total{pod="web-canary-0", code="500"}[1m]))',
    ],
)
def test_it_waits(text: str) -> None:
    assert waits_for_a_failure(parse(text), FACTS)


@pytest.mark.parametrize(
    "text",
    [
        f"({BAD} or vector(0)) / {ALL}",
        f"{BAD} / {ALL} > 0.05",  # an alert is empty while all is well, whatever is there
        'sum(rate(http_requests_total{revision="canary", code!~"5.."}[5m])) / ' + ALL,
        f"absent({BAD})",
        'sum(rate(http_requests_total{code="500"}[5m])) / sum(rate(http_requests_total[5m]))',  # the stable revision's
        'sum(rate(http_requests_total{revision="stable", code="500"}[5m]))',
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
        "sum(rate(nothing_exports_this[5m]))",
        # these begin with their first event in the catalogue: the simulation shows it
        'sum(irate(istio_requests_total{destination_service="web-canary", response_code=~"5.*"}[1m]))',
        'sum(rate(nginx_ingress_controller_requests{canary!="", status=~"5.*"}[1h]))',
        "up @ 5",
        "up * on () http_requests_total",  # refused over these series
        "time()",
    ],
)
def test_it_does_not(text: str) -> None:
    assert not waits_for_a_failure(parse(text), FACTS)
