"""What the application exports is what the catalogue says, and nothing else."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from chaos.app.metrics import Metrics
from chaos.app.pool import Pool
from chaos.app.settings import DEFAULT_BUCKETS, Identity
from strategies.metrics.exported import Facts
from strategies.metrics.families import families

SCRAPED = {"job", "instance"}  #: labels of the target: whoever scrapes adds them
BY_SCRAPER = {"up"}  #: series that the scraper writes itself


def exported(identity: Identity) -> dict[str, tuple[str, set[tuple[str, ...]], set[str]]]:
    """Name of a family -> type, label names of its samples, names of its samples."""
    text = Metrics(identity, Pool(20)).text().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {tuple(sorted(sample.labels)) for sample in family.samples}
        found[name] = (family.type, labels, {sample.name for sample in family.samples})
    return found


def test_the_families_are_those_of_the_catalogue() -> None:
    wanted = {each.name: each for each in families().values() if each.source == "app"}
    found = exported(Identity())
    assert set(found) == set(wanted) - BY_SCRAPER
    for name, (kind, labels, samples) in found.items():
        family = wanted[name]
        assert kind == family.type, name
        own = {label.name for label in family.labels} - SCRAPED
        if family.type == "histogram":
            without = tuple(sorted(own - {"le"}))
            assert labels == {tuple(sorted(own)), without}
            assert samples == {*family.names, f"{name}_sum"}
        else:
            assert labels == {tuple(sorted(own))}, name
            assert samples == {name}


def test_the_buckets_are_those_of_prometheus_and_of_the_scenario() -> None:
    assert Facts().buckets_seconds == DEFAULT_BUCKETS
    text = Metrics(Identity(app_buckets=(0.1, 2.0)), Pool(1)).text().decode()
    bounds = [
        sample.labels["le"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_bucket"
    ]
    assert bounds == ["0.1", "2.0", "+Inf"]


def test_series_of_codes_are_born_at_the_start_or_with_their_first_event() -> None:
    def codes(metrics: Metrics) -> set[tuple[str, str]]:
        return {
            (sample.labels["code"], sample.labels["path"])
            for family in text_string_to_metric_families(metrics.text().decode())
            for sample in family.samples
            if sample.name == "http_requests_total"
        }

    catalogue = families()["http_requests_total"]
    born = next(label.born for label in catalogue.labels if label.name == "code")
    assert codes(Metrics(Identity(), Pool(1))) == {(code, "/") for code, when in born.items() if when == "start"}
    late = Metrics(Identity(app_births="first_event"), Pool(1))
    assert codes(late) == set()
    late.count(500, "GET", "/checkout", 0.1)
    assert codes(late) == {("500", "/checkout")}


def test_a_failed_response_is_no_order_and_has_no_duration() -> None:
    metrics = Metrics(Identity(), Pool(1))
    for status in (200, 500, 200, 500, 500):
        metrics.count(status, "GET", "/", 0.2)
    values = {
        (sample.name, sample.labels.get("code", "")): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if "bucket" not in sample.name
    }
    assert values["http_requests_total", "200"] == 2
    assert values["http_requests_total", "500"] == 3
    assert values["http_request_duration_seconds_count", ""] == 2
    assert values["orders_total", ""] == 2
