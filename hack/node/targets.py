"""Write the pods to scrape as a file for Prometheus' file_sd, again and again, whenever they change.

usage: targets.py TARGETS.json    (KUBECONFIG: one file with its certificates in it)

Debian's Prometheus is built without the discovery of Kubernetes. A pod is a target when it is annotated
`prometheus.io/scrape: "true"`; `prometheus.io/port` (8080) and `prometheus.io/path` (/metrics) say where. Standard
library only: any Python runs it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PERIOD_SECONDS = 0.5


def targets(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The file's contents: running pods that want to be scraped."""
    found = []
    for pod in pods:
        meta, status = pod["metadata"], pod.get("status", {})
        notes = meta.get("annotations", {})
        if notes.get("prometheus.io/scrape") != "true" or not status.get("podIP") or status.get("phase") != "Running":
            continue
        labels = {"namespace": meta["namespace"], "pod": meta["name"]}
        labels["__metrics_path__"] = notes.get("prometheus.io/path", "/metrics")
        address = f"{status['podIP']}:{notes.get('prometheus.io/port', '8080')}"
        found.append({"targets": [address], "labels": labels})
    return sorted(found, key=lambda target: str(target["targets"]))


def connection(kubeconfig: str) -> http.client.HTTPSConnection:
    """To the API server that this node's own kubeconfig names."""
    fields = dict(re.findall(r"([a-z-]+): \"?([^\s,{}\"]+)", Path(kubeconfig).read_text()))
    data = {name: base64.b64decode(value).decode() for name, value in fields.items() if name.endswith("-data")}
    context = ssl.create_default_context(cadata=data["certificate-authority-data"])
    with tempfile.NamedTemporaryFile("w") as file:  # ssl reads certificates of its own from files only
        file.write(data["client-certificate-data"] + data["client-key-data"])
        file.flush()
        context.load_cert_chain(file.name)
    server = urlsplit(fields["server"])
    return http.client.HTTPSConnection(str(server.hostname), server.port, context=context, timeout=5)


def main(out: Path) -> None:
    """Ask and write for ever; an API server that does not answer is asked again."""
    server = connection(os.environ["KUBECONFIG"])
    while True:
        try:
            server.request("GET", "/api/v1/pods")
            answer = server.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise http.client.HTTPException(f"{answer.status}: {body[:200]!r}")
            text = json.dumps(targets(json.loads(body)["items"]), indent=1)
            if text != out.read_text():
                fresh = out.with_suffix(".new")
                fresh.write_text(text)
                fresh.rename(out)
        except (OSError, http.client.HTTPException) as error:
            server.close()
            sys.stderr.write(f"the API server does not answer: {error}\n")
        time.sleep(PERIOD_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
