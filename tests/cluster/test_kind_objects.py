"""The manifests of the kind path, as a real API server with the same version of the Gateway API takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

HERE = Path(__file__).parents[2] / "hack" / "kind"


@pytest.mark.parametrize("name", ["namespaces", "traefik", "prometheus"])
def test_the_server_takes_every_object(cluster: Any, name: str) -> None:
    objects = list(YAML(typ="safe").load_all((HERE / f"{name}.yaml").read_text()))
    for each in objects:  # each in its own namespace, not in that of the test
        space = each["metadata"].get("namespace")
        where = [f"--namespace={space}"] if space else []
        # strict: a field that the server does not know is an error
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-", *where, given=each)  # fmt: skip
