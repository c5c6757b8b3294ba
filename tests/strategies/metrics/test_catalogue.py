"""The catalogue as data, which selectors find what, and what is said of those that find nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.metrics.catalogue import Facts, families, findings, taken
from strategies.metrics.exported import selected
from strategies.metrics.families import le_text
from strategies.metrics.series import Matcher, MatchOp

FACTS = Facts(service="web")
SIGNALS = {
    "responses", "durations", "successes", "memory", "working_set", "pool_in_use", "pool_max", "up", "restarts", "ready",
}  # fmt: skip


def named(name: str, **labels: tuple[MatchOp, str]) -> list[Matcher]:
    matchers = [Matcher(label, op, value) for label, (op, value) in labels.items()]
    return [Matcher("__name__", "=", name), *matchers]


def said(selector: list[Matcher], facts: Facts = FACTS) -> list[str]:
    return [str(finding) for finding in findings([selector], facts)]


def test_every_family_is_whole() -> None:
    names = {"http_requests_total", "http_request_duration_seconds_bucket", "up", "process_resident_memory_bytes",
             "container_memory_working_set_bytes", "db_pool_connections_in_use", "db_pool_connections_max",
             "kube_pod_container_status_restarts_total", "kube_pod_status_ready", "orders_total",
             "istio_requests_total", "istio_request_duration_milliseconds_bucket", "nginx_ingress_controller_requests",
             "envoy_cluster_upstream_rq", "envoy_cluster_upstream_rq_xx", "traefik_service_requests_total"}  # fmt: skip
    assert names <= set(families())
    for name, family in families().items():
        assert family.help, name
        assert family.unit, name
        assert family.signal in SIGNALS, name
        assert family.source in ("app", "router", "cluster"), name
        assert family.type in ("counter", "gauge", "histogram"), name
        assert family.per_pod == any(label.kind == "pod" for label in family.labels), name
        assert (family.type == "histogram") == any(label.kind == "bucket" for label in family.labels), name
        for label in family.labels:
            assert label.kind != "values" or set(label.born) == set(label.values), f"{name} {label.name}"
            assert label.kind != "revision" or set(label.values) == {"stable", "canary"}, f"{name} {label.name}"
            assert label.kind not in ("own", "fixed", "common") or label.value, f"{name} {label.name}"


@pytest.mark.parametrize("name", sorted(families()))
def test_a_family_without_conditions_is_found_and_its_label_sets_differ(name: str) -> None:
    found = selected(FACTS, named(name))
    assert found
    assert said(named(name)) == []
    keys = {tuple(sorted(each.labels_of(FACTS.pod(each.revision, 0)).items())) for each in found}
    assert len(keys) == len(found)


def test_a_name_that_nothing_exports() -> None:
    (text,) = said(named("http_request_total", code=("=~", "5..")))
    assert text.startswith(
        "nothing exports the series 'http_request_total'; did you mean 'http_requests_total'? known: "
    )
    assert selected(FACTS, named("http_request_total")) == ()


@pytest.mark.parametrize(
    ("selector", "start"),
    [
        (named("http_requests_total", status=("=~", "4..")), "no series of 'http_requests_total' has status=~\"4..\""),
        (named("http_requests_total", verb=("=", "GET")), "no series of 'http_requests_total' has the label 'verb'"),
        (named("http_requests_total", code=("=", "503")), "no series of 'http_requests_total' has code=\"503\"; did you"),
        (named("http_requests_total", version=("=", "v2")), "no series of 'http_requests_total' has version=v2; known: s"),
        (named("up", pod=("=~", "shop-.*")), "no series of 'up' has pod=~\"shop-.*\"; known: \"web-stable-0\", "),
        (named("http_request_duration_seconds_bucket", le=("=", "1")), "no series of 'http_request_duration_seconds_b"),
        (named("istio_request_duration_milliseconds_count", response_code=("=", "500")), "no series of 'istio_request_"),
        (named("http_requests_total", pod=("=~", "web-canary.*"), revision=("=", "stable")), "no series of 'http_reque"),
        ([Matcher("__name__", "=~", "shop_.*")], 'nothing exports a series with __name__=~"shop_.*"; known: '),
    ],
)  # fmt: skip
def test_a_label_value_that_nothing_exports(selector: list[Matcher], start: str) -> None:
    (text,) = said(selector)
    assert text.startswith(start)


@pytest.mark.parametrize(
    "selector",
    [
        named("http_requests_total", namespace=("=", "prod"), job=("=~", "shop|other")),
        named("http_requests_total", pod=("=~", "web-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)")),
        named("nginx_ingress_controller_requests", canary=("!=", ""), status=("!~", "[4-5].*")),
        named("http_requests_total", shard=("!=", "7"), code=("!~", "5..")),
        named("envoy_cluster_upstream_rq_xx", app=("=", "wrk-tester"), envoy_response_code_class=("!~", "5.*")),
    ],
)
def test_what_real_queries_ask_for_is_there(selector: list[Matcher]) -> None:
    assert said(selector) == []
    assert selected(FACTS, selector)


def test_names_of_the_users_own_are_taken_and_said() -> None:
    selector = named("http_requests_total", namespace=("=", "prod"), revision=("=", "canary"), code=("=~", "5.."))
    assert taken([selector], FACTS) == [
        "metrics: namespace=prod in a query is taken as this service",
        "metrics: revision=canary in a query is taken as the canary revision",
    ]
    assert {(each.revision, each.part) for each in selected(FACTS, selector)} == {(1, "failed")}


def test_a_service_that_looks_like_one_revision_is_no_silent_guess() -> None:
    selector = named("istio_requests_total", destination_service_name=("=", "web-canary"))
    (text,) = said(selector)
    assert text.startswith('destination_service_name="web-canary" looks like the name of one revision')
    assert {each.revision for each in selected(FACTS, selector)} == {0, 1}
    names = {"canary": {"destination_service_name": "web-canary"}, "stable": {"destination_service_name": "web"}}
    told = Facts(service="web", labels=names)
    assert said(selector, told) == []
    assert {each.revision for each in selected(told, selector)} == {1}
    assert {each.revision for each in selected(told, named("up", destination_service_name=("=", "web")))} == {0}


def test_the_service_of_a_revision_is_the_revision() -> None:
    facts = Facts(service="web", services={"stable": "web", "canary": "web-canary"})

    def sides(op: MatchOp, value: str) -> set[int]:
        selector = named("istio_requests_total", destination_service=(op, value))
        assert said(selector, facts) == []
        return {each.revision for each in selected(facts, selector)}

    assert sides("=", "web-canary") == sides("=~", r"web-canary\\.shop.*") == {1}
    assert sides("=", "web.shop.svc.cluster.local") == {0}
    assert sides("=~", "web|web-canary") == {0, 1}
    assert sides("!=", "web-canary") == {0}
    assert sides("=", "gateway") == sides("=~", ".*") == {0, 1}
    selector = named("istio_requests_total", destination_service=("=", "web-canary"))
    assert taken([selector], facts) == [
        'metrics: destination_service="web-canary" in a query is taken as the canary revision'
    ]


def test_no_two_series_are_alike_whatever_the_scenario_calls_them() -> None:
    same = {"service": "web", "version": "7", "team": "shop"}
    facts = Facts(labels={"stable": same, "canary": same})
    for name in families():
        keys = {tuple(sorted(each.labels_of(facts.pod(each.revision, 0)).items())) for each in facts.series[name]}
        assert len(keys) == len(facts.series[name]), name
    assert selected(facts, named("up", team=("=", "shop")))


def test_an_empty_value_asks_for_a_series_without_the_label() -> None:
    assert selected(FACTS, named("http_requests_total", namespace=("=", ""))) == ()
    assert len(selected(FACTS, named("http_requests_total", shard=("=", "")))) == 4
    (stable,) = {
        each.revision for each in selected(FACTS, named("nginx_ingress_controller_requests", canary=("=", "")))
    }
    assert stable == 0


def test_a_histogram_has_its_own_bounds() -> None:
    facts = Facts(buckets_seconds=(0.1, 2.5))
    buckets = selected(facts, named("http_request_duration_seconds_bucket", revision=("=", "canary")))
    assert [each.labels["le"] for each in buckets] == ["0.1", "2.5", "+Inf"]
    assert [each.bound_seconds for each in buckets] == [0.1, 2.5, math.inf]
    istio = selected(facts, named("istio_request_duration_milliseconds_bucket", le=("=", "250.0")))
    assert [each.bound_seconds for each in istio] == [0.25, 0.25]


def test_births_of_codes_follow_the_scenario() -> None:
    selector = named("http_requests_total")
    assert {each.born for each in selected(FACTS, selector)} == {"start"}
    for router in ("istio_requests_total", "nginx_ingress_controller_requests", "envoy_cluster_upstream_rq_xx"):
        assert {each.born for each in selected(FACTS, named(router))} == {"first_event"}
        assert {each.born for each in selected(Facts(codes_born="start"), named(router))} == {"start"}
    assert {each.born for each in selected(Facts(codes_born="first_event"), selector)} == {"first_event"}
    assert {each.born for each in selected(Facts(codes_born="first_event"), named("up"))} == {"start"}


@given(st.floats(1e-4, 1e8).map(lambda x: float(f"{x:.3g}")))
def test_bounds_read_back(bound: float) -> None:
    assert float(le_text(bound)) == pytest.approx(bound, rel=1e-12)
