"""What a manifest's router says of a weight whose pods take no traffic yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.imports.manifest import Imported, import_manifest

MANIFESTS = Path(__file__).parents[3] / "scenarios" / "manifests"
BIND = {"success-rate": "success_ratio:canary", "latency-p95": "latency_p95:canary"}


def _imported(text: str, tmp_path: Path) -> object:
    file = tmp_path / "rollout.yaml"
    file.write_text(text, encoding="utf-8")
    return import_manifest(file, templates=[MANIFESTS / "checkout-analysis.yaml"], bind=BIND)


def test_ingress_nginx_falls_back_to_the_stable_pods(tmp_path: Path) -> None:
    imported = _imported((MANIFESTS / "checkout-rollout.yaml").read_text(encoding="utf-8"), tmp_path)
    assert imported.patch["router"] == {"noEndpoints": "fallback"}  # type: ignore[attr-defined]
    assert any(line.startswith("router.noEndpoints = fallback") for line in imported.assumed)  # type: ignore[attr-defined]


def test_traefik_does_not_count_what_it_cannot_deliver(tmp_path: Path) -> None:
    text = (MANIFESTS / "checkout-rollout.yaml").read_text(encoding="utf-8")
    text = text.replace("nginx:\n          stableIngress: checkout", "traefik: {weightedTraefikServiceName: checkout}")
    imported = _imported(text, tmp_path)
    assert imported.patch["router"] == {"noEndpoints": "uncounted"}  # type: ignore[attr-defined]
    assert any(line.startswith("router.noEndpoints = uncounted") for line in imported.assumed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("router", ["istio: {virtualService: {name: checkout}}", "plugins: {some/router: {}}"])
def test_other_routers_answer_503(tmp_path: Path, router: str) -> None:
    text = (MANIFESTS / "checkout-rollout.yaml").read_text(encoding="utf-8")
    text = text.replace("nginx:\n          stableIngress: checkout", router)
    assert "router" not in _imported(text, tmp_path).patch  # type: ignore[attr-defined]


def test_the_services_of_a_canary_name_its_revisions(tmp_path: Path) -> None:
    both = imported_with(tmp_path, "canaryService: shop-canary\n      stableService: shop-stable")
    assert both.patch["metrics"] == {"services": {"canary": "shop-canary", "stable": "shop-stable"}}
    assert "metrics" not in imported_with(tmp_path, "canaryService: shop-canary").patch


def imported_with(tmp_path: Path, words: str) -> Imported:
    path = tmp_path / "rollout.yaml"
    path.write_text(
        f"""
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: shop}}
spec:
  replicas: 2
  template: {{spec: {{containers: [{{name: c, image: x}}]}}}}
  strategy:
    canary:
      {words}
      trafficRouting: {{istio: {{virtualService: {{name: vs}}}}}}
      steps: [{{setWeight: 20}}]
"""
    )
    return import_manifest(path)
