"""How a drill reaches and uses a cluster; nothing here needs the Kubernetes client."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

NAMESPACE: Final = "rolloutlab-drills"
IMAGE: Final = "rolloutlab.local/app:1"
Routing: TypeAlias = Literal["auto", "gateway", "service"]
Engine: TypeAlias = Literal["auto", "native", "chaos-mesh"]
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ADDRESS: Final = re.compile(r"(?P<host>[0-9a-fA-F.:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Attributes:

    kubeconfig, context: as of kubectl; None: its own default, or the native node that is up.
    namespace: where everything of the drill is made; it must carry the label `rolloutlab/allowed=true`.
    image: of the application under test.
    gateway: `namespace/name` of the Gateway that routes; empty: the only one.
    address: `host:port` where the gateway is reached; empty: what the Gateway says of itself.
    router_metrics: URL of what the router exports; empty: the native node's, elsewhere the pods count.
    routing: `gateway`: weights by an HTTPRoute; `service`: no router, weights by the number of pods; `auto`: the first
        where there is a Gateway.
    engine: what does the faults that the application cannot do itself.
    identity: uid of the namespace kube-system that the cluster must have; empty: not pinned.
    observe: `deployment/name` or `rollout/name` of the user's own: it is watched and not touched.
    host: that requests to it are meant for; empty: the address. version_header: tells its revisions apart.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = NAMESPACE
    image: str = IMAGE
    gateway: str = ""
    address: str = ""
    router_metrics: str = ""
    routing: Routing = "auto"
    engine: Engine = "auto"
    identity: str = ""
    observe: str = ""
    host: str = ""
    version_header: str = "x-version"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.namespace):
            raise ValueError(f"namespace: expected a name as of Kubernetes, got {self.namespace!r}")
        if self.gateway and not all(_NAME.fullmatch(part) for part in self._gateway()):
            raise ValueError(f"gateway: expected namespace/name, got {self.gateway!r}")
        if self.address and not _is_address(self.endpoint):
            raise ValueError(f"address: expected an IP address and a port such as 10.0.0.1:80, got {self.address!r}")
        if self.router_metrics:
            _check_url(self.router_metrics)
        for name, words in (("routing", Routing), ("engine", Engine)):
            if getattr(self, name) not in get_args(words):
                raise ValueError(f"{name}: expected {', '.join(get_args(words))}, got {getattr(self, name)!r}")
        kind, _, name = self.observe.partition("/")
        if self.observe and (kind not in ("deployment", "rollout") or not _NAME.fullmatch(name)):
            raise ValueError(f"observe-only: expected deployment/name or rollout/name, got {self.observe!r}")
        if self.observe and not self.address:
            raise ValueError("address: say where users reach what is observed: --address IP:PORT")

    def _gateway(self) -> tuple[str, ...]:
        return tuple(self.gateway.split("/")) if self.gateway.count("/") == 1 else ("?",)

    @property
    def gateway_parts(self) -> tuple[str, str] | None:
        """(namespace, name) of the Gateway, None when none is named."""
        if not self.gateway:
            return None
        namespace, _, name = self.gateway.partition("/")
        return namespace, name

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """(host, port) of `address`."""
        found = _ADDRESS.fullmatch(self.address)
        return (found["host"].strip("[]"), int(found["port"])) if found else None


def _check_url(url: str) -> None:
    """ValueError for what is no URL of metrics, or holds a password: it stands in the journal."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("router-metrics: expected no password in the URL, which would stand in the journal")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"router-metrics: expected a URL such as http://10.0.0.1:8082/metrics, got {url!r:.100}")


def _is_address(endpoint: tuple[str, int] | None) -> bool:
    if endpoint is None:
        return False
    try:
        return not ipaddress.ip_address(endpoint[0]).is_unspecified and 0 < endpoint[1] < 1 << 16
    except ValueError:
        return False
