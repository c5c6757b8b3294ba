"""The providers of an Argo metric and their fields, as the AnalysisTemplate's schema has them.

Source: argo-rollouts @9f8d111d8 `manifests/crds/analysis-template-crd.yaml`; rules between fields by
`metricproviders/datadog/datadog.go` and `metricproviders/webmetric/webmetric.go`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from scenarios.errors import unknown
from scenarios.imports.section import Section, words

#: field -> None (anything), a mapping of fields, or a list with the fields of its items
Fields: TypeAlias = dict[str, Any]


def _plain(text: str) -> Fields:
    return dict.fromkeys(words(text))


_SCOPE: Final = _plain("end region scope start step")
_AUTHENTICATION: Final = {
    "basicAuth": _plain("password username"),
    "oauth2": _plain("clientId clientSecret scopes tokenUrl"),
    "sigv4": _plain("profile region roleArn"),
}
_HEADERS: Final = [_plain("key value")]
_METRIC: Final = {**_plain("metricName namespace"), "dimensions": [_plain("name value")]}

FIELDS: Final[dict[str, Fields]] = {
    "prometheus": {
        **_plain("address insecure query timeout"),
        "authentication": _AUTHENTICATION,
        "headers": _HEADERS,
        "rangeQuery": _plain("end start step"),
    },
    "cloudWatch": {
        "interval": None,
        "metricDataQueries": [
            {
                **_plain("expression id label period returnData"),
                "metricStat": {**_plain("period stat unit"), "metric": _METRIC},
            }
        ],
    },
    "datadog": {
        **_plain("aggregator apiVersion formula interval queries query requestTimeout"),
        "secretRef": _plain("name namespaced"),
    },
    "graphite": _plain("address query"),
    "influxdb": _plain("profile query"),
    "job": _plain("metadata spec"),
    "kayenta": {
        **_plain("address application canaryConfigName configurationAccountName lookback"),
        **_plain("metricsAccountName storageAccountName"),
        "scopes": [{"name": None, "controlScope": _SCOPE, "experimentScope": _SCOPE}],
        "threshold": _plain("marginal pass"),
    },
    "newRelic": _plain("profile query timeout"),
    "skywalking": _plain("address interval query"),
    "wavefront": _plain("address query"),
    "web": {
        **_plain("body insecure jsonBody jsonPath method timeoutSeconds url"),
        "authentication": _AUTHENTICATION,
        "headers": _HEADERS,
    },
}
#: `plugin` has a field for each plug-in, with settings that only the plug-in knows
PROVIDERS: Final = (*FIELDS, "plugin")
DECIDING: Final = ("job", "kayenta")  #: decide by themselves; conditions are not asked
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "cloudWatch": ("metricDataQueries",),
    "job": ("spec",),
    "kayenta": (
        "address", "application", "canaryConfigName", "configurationAccountName", "metricsAccountName", "scopes",
        "storageAccountName", "threshold",
    ),
    "newRelic": ("query",),
    "web": ("url",),
}  # fmt: skip
_AGGREGATORS: Final = words("avg min max sum last percentile mean l2norm area")
_WORDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "datadog": {"aggregator": _AGGREGATORS, "apiVersion": ("v1", "v2")},
    "web": {"method": ("GET", "POST", "PUT")},
}


def check_provider(section: Section, kind: str) -> None:
    """Note what is wrong with the fields of a provider."""
    if kind == "plugin":
        return
    _check(section, FIELDS[kind])
    for name in _REQUIRED.get(kind, ()):
        if not section.has(name):
            section.fail(None, f"expected {name}, got none")
    for name, known in _WORDS.get(kind, {}).items():
        word = section.text(name)
        if word is not None and word not in known:
            error = unknown(word, known, what="word")
            section.fail(name, error.problem, nearest=error.nearest, known=error.known)
    if kind == "datadog":
        _datadog(section)
    if kind == "web" and section.has("body") and section.has("jsonBody"):
        section.fail("jsonBody", "expected body or jsonBody, got both")


def _check(section: Section, fields: Fields) -> None:
    section.fields(read=fields, shown=True)
    for name, inside in fields.items():
        if inside is None or not section.has(name):
            continue
        if isinstance(inside, list):
            for item in section.sections(name):
                _check(item, inside[0])
        else:
            below = section.section(name)
            if below is not None:
                _check(below, inside)


def _datadog(section: Section) -> None:
    """One query, or named ones; several of them need a formula."""
    given = [name for name in ("query", "queries") if section.has(name)]
    if len(given) != 1:
        section.fail(None, f"expected query or queries, got {' and '.join(given) or 'none'}")
        return
    node = section.get("queries")
    many = len(node.value) if node is not None and isinstance(node.value, dict) else 0
    if many > 1 and not section.has("formula"):
        section.fail("queries", f"expected a formula with {many} queries, got none")
    if section.has("formula") and not many:
        section.fail("formula", "expected queries beside a formula, got none")


def kayenta_thresholds(section: Section) -> tuple[int, int] | None:
    """`pass` and `marginal` of Kayenta; None where they are wrong."""
    threshold = section.section("threshold")
    if threshold is None:
        return None
    found = {name: threshold.integer(name, high=100) for name in ("pass", "marginal")}
    for name in ("pass", "marginal"):
        if not threshold.has(name):
            threshold.fail(None, f"expected {name}, got none")
    if found["pass"] is None or found["marginal"] is None:
        return None
    return found["pass"], found["marginal"]
