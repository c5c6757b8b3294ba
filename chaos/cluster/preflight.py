"""Before a drill in a cluster: is it the right one, may we, can it do what the scenario asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos import preflight
from chaos.cluster import door as doors
from chaos.cluster import gateway, permissions, safety
from chaos.cluster.door import Door
from chaos.cluster.gateway import Router
from chaos.cluster.kinds import HTTP_ROUTE, POD_CHAOS
from chaos.cluster.kube import ApiError, Kube
from chaos.cluster.rights import Part
from chaos.cluster.settings import ClusterSettings
from chaos.faults.node import NodeFault
from chaos.faults.plan import FaultPlan, Outside, ProcessFault
from chaos.injectors.chaos_mesh_objects import engine
from chaos.local.runs import state_dir
from chaos.preflight import Pace, Where
from chaos.world import WorldError
from scenarios.schema import Scenario
from scenarios.units import duration_text

MOST_PODS: Final = 50  #: of both revisions on the native node, whose kubelet takes 60
MOST_PODS_ELSEWHERE: Final = 200
NATIVE_PER_CORE: Final = 60.0  #: requests per real second: router, pods and sender share the cores
ELSEWHERE_PER_CORE: Final = 1000.0  #: where this machine only sends
_UNCOUNTED: Final = (
    "metrics.source: Traefik counts a request under a revision only if a pod of it is there; failures of one without "
    "any are seen by users, not by the strategy"
)
_BY_CONNECTION: Final = "each request brings a connection of its own: a Service balances connections, not requests"


def there(
    scenario: Scenario, faults: Sequence[FaultPlan], settings: ClusterSettings, *, state: Path | None, by_router: bool
) -> Where:
    """What a cluster is like for a drill; one that cannot be used says why in `problems`."""
    problems = list(preflight.state_problems(state or state_dir()))
    native, router, serves, outside = False, None, "a cluster", None
    labels: tuple[str, ...] = ()  # of a cluster that was not seen whole there is nothing to say
    try:
        found = doors.opened(settings)
        native = found.node is not None
        problems += safety.refusals(found.kube, settings)
        router = None if settings.observe else gateway.router(found, settings)
        problems += _unrouted(found.kube, settings, router)
        problems += _unreached(router)
        serves = _engine(found, router, settings)
        outside = _outside(found, settings)
        if not problems:
            problems += permissions.refusals(found.kube, settings, list(_parts(faults, settings, router, outside)))
        counted = bool(gateway.router_metrics(found, settings)) and router is not None
        labels = (
            *_labels(scenario, settings, routed=router is not None, counted=counted),
            *_clocks(found.kube.skew_seconds),
        )
    except WorldError as error:
        unheard = isinstance(error, ApiError) and error.status == 0
        hint = "; is the cluster up, and is it the right context? `rolloutlab doctor` looks" if unheard else ""
        problems.append(f"{error}{hint}")
    if outside is None and not problems and any(isinstance(each.fault, NodeFault) for each in faults):
        problems.append("nothing here puts faults into pods from outside: install Chaos Mesh (`rolloutlab doctor`)")
    most = MOST_PODS if native else MOST_PODS_ELSEWHERE
    refused = preflight.refused(scenario, faults, router="the gateway", no_endpoints=("fail", "uncounted"), most=most)
    return Where(
        refused=(*refused, *_refused(faults, by_router=by_router), *_probes(scenario)),
        problems=tuple(dict.fromkeys(problems)),
        weights=router is not None or bool(settings.observe),
        pace=Pace(per_core=NATIVE_PER_CORE if native else ELSEWHERE_PER_CORE, probe_seconds=None),
        labels=labels,
        engine=serves,
        outside=outside,
    )


def _parts(
    faults: Sequence[FaultPlan], settings: ClusterSettings, router: Router | None, outside: Outside | None
) -> Iterator[Part]:
    """What of a cluster a drill needs beside its own objects."""
    if router is not None:
        yield "gateway"
    if outside not in (None, "native") and any(isinstance(each.fault, NodeFault) for each in faults):
        yield "chaos-mesh"
    if settings.observe.startswith("rollout/"):
        yield "argo"


def _outside(found: Door, settings: ClusterSettings) -> Outside | None:
    """What puts faults into pods: what was asked for, else the native node's own, else Chaos Mesh."""
    if settings.engine != "chaos-mesh" and found.node is not None:
        return "native"
    if settings.engine == "native":
        raise WorldError("--engine native: its agent runs on the native node only; expected auto or chaos-mesh here")
    if not found.kube.serves(POD_CHAOS):
        return None
    return "chaos-mesh" if engine(found.kube) == "chaos-mesh" else "stand-in"


def _engine(found: Door, router: Router | None, settings: ClusterSettings) -> str:
    if settings.observe:
        return f"{settings.observe} of namespace {settings.namespace}, Kubernetes {found.kube.version()}"
    where = "native node" if found.node is not None else found.kube.server
    by = f"behind Gateway {'/'.join(router.gateway)}" if router is not None else "behind a Service"
    return f"pods {by}, Kubernetes {found.kube.version()}, {where}"


def _refused(faults: Sequence[FaultPlan], *, by_router: bool) -> Iterator[str]:
    if by_router:
        yield "--by-router: a Gateway has no faults of its own; leave them to the application or to an injector"
    for plan in faults:
        if isinstance(plan.fault, ProcessFault) and plan.fault.kind != "refuse":
            other = {"kill": "pod_kill or container_kill", "hang": "freeze"}[plan.fault.kind]
            kind = plan.fault.kind
            yield f"faults[{plan.number}]: {kind} is of processes on this machine; in a cluster it is {other}"


def _unrouted(kube: Kube, settings: ClusterSettings, router: Router | None) -> Iterator[str]:
    """There may be a Gateway, of another controller, in a cluster that knows no routes of ours."""
    if router is None:
        return
    try:
        kube.list(HTTP_ROUTE, settings.namespace)
    except ApiError as error:
        if error.status == 404:
            kind = f"{HTTP_ROUTE.kind}s of {HTTP_ROUTE.api_version}"
            yield f"this cluster knows no {kind}: install the Gateway API (`rolloutlab doctor`), or --routing service"
        elif error.status != 403:  # then the rights say so
            raise


def _unreached(router: Router | None) -> Iterator[str]:
    if router is not None and (why := gateway.unreached(router.address)) is not None:
        host, port = router.address
        name = "/".join(router.gateway)
        yield f"Gateway {name} is not reached from here at {host} port {port} ({why}); --address says where it is"


def _probes(scenario: Scenario) -> Iterator[str]:
    probes = scenario.service.probes
    for name, probe in (("liveness", probes.liveness), ("startup", probes.startup)):
        if probe is not None and probe.success_threshold != 1:
            yield f"service.probes.{name}.successThreshold: Kubernetes takes 1 only, got {probe.success_threshold}"


def _clocks(skew_seconds: float) -> Iterator[str]:
    if skew_seconds:
        ahead = "ahead of" if skew_seconds > 0 else "behind"
        took = duration_text(abs(round(skew_seconds)))
        yield f"the cluster's clock is {took} {ahead} this machine's: leases and expiry go by the cluster's"


def _labels(scenario: Scenario, settings: ClusterSettings, *, routed: bool, counted: bool) -> Iterator[str]:
    if settings.observe:
        yield f"only observed: somebody else rolls {settings.observe} out; the scenario's own faults are not made"
        yield _BY_CONNECTION
        return
    startup = scenario.service.startup
    took = duration_text(startup.schedule_seconds + startup.pull_seconds)
    yield f"startup.schedule, startup.pull: the cluster takes its own time instead of {took}"
    if scenario.metrics.source == "router" and not counted:
        yield "metrics.source: the pods count responses here, not the router (--router-metrics says where it does)"
    if routed:
        lag = duration_text(scenario.router.lag_seconds)
        yield f"router.lag: the Gateway takes what it takes instead of {lag}"
        if counted and scenario.metrics.source == "router" and scenario.router.no_endpoints != "uncounted":
            yield _UNCOUNTED
    else:
        yield "no Gateway: weights are kept by the number of pods, blue-green by the selector of a Service"
        yield _BY_CONNECTION
