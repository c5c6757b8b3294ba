"""What a drill makes in its namespace, and how orders change it: the hands of `ClusterWorld`.

Everything is owned by one anchor, is made by server-side apply and changed by absolute patches, so that doing it twice
changes nothing, and a harness that takes over from one that was killed finds it as it is: an order for a revision that
is there already leaves its pods as they were started.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from chaos.cluster import gateway, objects
from chaos.cluster.kinds import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, SERVICE, Kind
from chaos.cluster.kube import AWAY, ApiError, Kube, Object
from chaos.cluster.objects import Drilled, Part
from chaos.cluster.pod import DRILL, REVISION
from chaos.world import WorldError
from scenarios.schema import Scenario
from strategies.effects import Revision, RollTo

_ACCEPT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 30.0  #: that orders wait for a server that is away; watches and the lease wait as long
_AGAIN_SECONDS: Final = 0.5
Answer = TypeVar("Answer")
Settings = Callable[[Revision], Mapping[str, Any]]


class Made:
    """Args: `settings` tells what the application of a revision is started with, now.

    Attributes worth reading: `main` (which revision the main Deployment has), `drilled`, `given` (settings that the
    templates of a revision had last).
    """

    def __init__(
        self,
        kube: Kube,
        drilled: Drilled,
        scenario: Scenario,
        *,
        gateway: tuple[str, str] | None,
        settings: Settings,
    ) -> None:
        self._kube, self.drilled, self._scenario, self.gateway = kube, drilled, scenario, gateway
        self._settings = settings
        self.main: Revision = "stable"
        self.given: dict[Revision, Mapping[str, Any]] = {}
        self._other: Revision | None = None  #: which revision the second Deployment has; None: there is none

    async def anchor(self, told: Mapping[str, Any]) -> bool:
        """Make the anchor, which is the first thing that is made; true when it was there: a harness was killed.

        Raises:
            WorldError: it is of another drill, or is being deleted.
        """
        found = await self._get(CONFIG_MAP, "drill")
        taken_over = found is not None
        if found is None:
            found = await self._asked(self._made_anchor, objects.anchor(self.drilled, told))
        meta, name = found["metadata"], self.drilled.named("drill")
        if meta.get("labels", {}).get(DRILL) != self.drilled.id:
            raise WorldError(f"ConfigMap {name} of namespace {self.drilled.namespace} is of something else")
        if "deletionTimestamp" in meta:
            raise WorldError(
                f"what is left of drill {self.drilled.id} is being deleted: `rolloutlab sweep` waits for it"
            )
        self.drilled = replace(self.drilled, owner=objects.owner_of(found))
        return taken_over

    def _made_anchor(self, body: Object) -> Object:
        """A create whose answer was lost is asked for again and is then in its own way."""
        namespace = self.drilled.namespace
        try:
            return self._kube.create(CONFIG_MAP, body, namespace)
        except ApiError as error:
            found = self._kube.get(CONFIG_MAP, body["metadata"]["name"], namespace) if error.status == 409 else None
            if found is None:
                raise
            return found

    async def service(self, replicas: int) -> None:
        """Make the service with the stable revision, and send all traffic to it."""
        if "stable" not in self.given:  # else a harness was killed after this, and its pods stay as they were started
            await self._deploy("main", "stable", replicas)
        suffixes: tuple[Revision | None, ...] = ("stable", "canary", None)
        for revision in suffixes:
            await self._apply(SERVICE, objects.service(self.drilled, revision))
        await self.weight(0.0)

    async def found(self) -> bool:
        """Learn how a killed harness left it; false when it had not made all of it: `service` does."""
        main, other = await self._get(DEPLOYMENT, "main"), await self._get(DEPLOYMENT, "canary")
        if main is not None:
            self.main = objects.revision_of(main)
            self.given[self.main] = objects.settings_of(main)
        if other is not None:
            self._other = objects.revision_of(other)
            self.given.setdefault(self._other, objects.settings_of(other))
        last = (SERVICE, "all") if self.gateway is None else (HTTP_ROUTE, "")
        return main is not None and await self._get(*last) is not None

    async def accepted(self) -> None:
        """Wait until the Gateway takes the route; one that says nothing is taken at its silence.

        Raises:
            WorldError: it does not: no request of this drill would arrive.
        """
        deadline, why = time.monotonic() + _ACCEPT_SECONDS, ""
        while self.gateway is not None and time.monotonic() < deadline:
            route = await self._get(HTTP_ROUTE, "")
            if route is None:
                raise WorldError(f"somebody deleted the route {self.drilled.named('')} of this drill")
            refused = gateway.refusal(route)
            if refused is None:
                return
            why = refused
            await asyncio.sleep(_LOOK_SECONDS)
        if why:
            name = "/".join(self.gateway or ())
            raise WorldError(
                f"Gateway {name} does not take routes of namespace {self.drilled.namespace} ({why}): let a listener of "
                f"it allow them (allowedRoutes), or name another one with --gateway"
            )

    # -- orders ---------------------------------------------------------------------------------------------------

    async def scale(self, revision: Revision, replicas: int) -> None:
        """Set the wanted number of pods of a revision; its Deployment is made when it is first asked for."""
        if revision == self.main:
            await self._patch("main", {"spec": {"replicas": replicas}})
        elif revision == self._other:
            await self._patch("canary", {"spec": {"replicas": replicas}})
        else:
            await self._deploy("canary", revision, replicas)
            self._other = revision

    async def roll_to(self, order: RollTo, min_ready_seconds: float) -> None:
        """Give the main Deployment the template of a revision; its controller does the rest."""
        rolling = {"maxSurge": order.max_surge, "maxUnavailable": order.max_unavailable}
        pace = objects.pace(rolling, min_ready_seconds)
        if order.revision == self.main:
            await self._patch("main", {"spec": {"replicas": order.replicas, **pace}})
        else:
            await self._deploy("main", order.revision, order.replicas, pace=pace)
            self.main = order.revision
        if self._other is not None:
            await self._patch("canary", {"spec": {"replicas": 0}})

    async def weight(self, canary: float | None) -> None:
        """Send this share of requests to the canary; None: every pod gets the same."""
        if self.gateway is not None:
            weights = {"all": 1} if canary is None else objects.weights(canary)
            await self._apply(HTTP_ROUTE, objects.route(self.drilled, self.gateway, weights))
        elif canary in (0.0, 1.0):  # without a router a Service can only be switched
            revision: Revision = "canary" if canary else "stable"
            await self._select({REVISION: revision})
        else:
            await self._select({REVISION: None})

    async def _select(self, selector: Mapping[str, str | None]) -> None:
        name, namespace = self.drilled.named("all"), self.drilled.namespace
        await self._asked(self._kube.patch, SERVICE, name, {"spec": {"selector": dict(selector)}}, namespace)

    # -- the API --------------------------------------------------------------------------------------------------

    async def _deploy(self, part: Part, revision: Revision, replicas: int, **more: Any) -> None:
        self.given[revision] = settings = self._settings(revision)
        body = objects.deployment(
            self.drilled, part, self._scenario, replicas=replicas, revision=revision, settings=settings, **more
        )
        await self._apply(DEPLOYMENT, body)

    async def _apply(self, kind: Kind, body: Object) -> None:
        await self._asked(self._kube.apply, kind, body, self.drilled.namespace)

    async def _patch(self, part: Part, body: Object) -> None:
        name, namespace = self.drilled.named(part), self.drilled.namespace
        await self._asked(self._kube.patch, DEPLOYMENT, name, body, namespace)

    async def _asked(self, ask: Callable[..., Answer], *what: Any) -> Answer:
        """Ask in a thread; a server that is away for a moment, as while it is restarted, ends no drill."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await asyncio.to_thread(ask, *what)
            except ApiError as error:
                if error.status not in AWAY or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _get(self, kind: Kind, suffix: str) -> Object | None:
        name, namespace = self.drilled.named(suffix), self.drilled.namespace
        return await self._asked(self._kube.get, kind, name, namespace)

    def remove(self) -> None:
        """Ask for the end of everything; blocks, and may be called from any thread."""
        with contextlib.suppress(Exception):
            self._kube.delete(CONFIG_MAP, self.drilled.named("drill"), self.drilled.namespace)
