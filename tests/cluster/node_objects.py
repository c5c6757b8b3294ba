"""Objects that tests of a node make: a revision of the application, and its Service."""

from __future__ import annotations

from typing import Any

IMAGE = "rolloutlab.local/app:1"


def revision(name: str, **env: object) -> list[dict[str, Any]]:
    """A Deployment of two replicas of the application, and its Service."""
    downward = {"APP_POD": "metadata.name", "APP_NAMESPACE": "metadata.namespace", "APP_ADMIN_HOST": "status.podIP"}
    container = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "env": [
            {"name": "APP_VERSION", "value": name},
            {"name": "APP_REVISION", "value": name},
            {"name": "APP_ADMIN_PORT", "value": "8081"},
            *({"name": key, "value": str(value)} for key, value in env.items()),
            *({"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in downward.items()),
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
    }
    labels = {"app": "web", "rolloutlab/revision": name}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]
