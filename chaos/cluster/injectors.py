"""What puts a fault in place in a cluster."""

from __future__ import annotations

from collections.abc import Callable

from chaos.cluster.fleet import Fleet
from chaos.cluster.kube import Kube
from chaos.cluster.native.node import Node
from chaos.cluster.objects import Drilled
from chaos.cluster.pod import Pod
from chaos.faults.node import NodeFault
from chaos.faults.plan import FaultPlan, ProcessFault
from chaos.injectors.blindness import Blindable, MetricsBlindness
from chaos.injectors.board import KnobBoard
from chaos.injectors.chaos_mesh import ChaosMesh
from chaos.injectors.chaos_mesh_faults import CAN, Around, of_node, of_scenario
from chaos.injectors.chaos_mesh_ledger import Place
from chaos.injectors.knobs import AppKnobs
from chaos.injectors.native import AgentLink, NativeInjector, NativeNode
from chaos.injectors.native.injector import Settings
from chaos.injectors.protocol import FaultInjector
from chaos.world import WorldError

PAUSE_IMAGE = "rolloutlab.local/pause:1"  #: on the native node


class Injectors:
    """The injectors of one drill; what this world cannot do was refused before.

    Args:
        fleet: the pods under test; asked when they are known.
        node: the native node, where it is one.
    """

    def __init__(
        self,
        kube: Kube,
        drilled: Callable[[], Drilled],
        fleet: Callable[[], Fleet],
        *,
        board: KnobBoard,
        blind: Blindable,
        node: Node | None,
    ) -> None:
        self._kube, self._drilled, self._fleet, self._board, self._blind = kube, drilled, fleet, board, blind
        self._link = AgentLink(NativeNode(node)) if node is not None else None

    def of(self, plan: FaultPlan) -> FaultInjector:
        """The injector of a fault."""
        match plan.engine:
            case "application":
                everyone = self._fleet().pods
                return AppKnobs(
                    plan, self._board, everyone=lambda: list(everyone.values()), targets=self._targets(plan)
                )
            case "scraper":
                return MetricsBlindness(plan, self._blind)
            case "native" if isinstance(plan.fault, NodeFault) and self._link is not None:
                settings = Settings(owner=self._drilled().id, number=plan.number, pause_image=PAUSE_IMAGE)
                return NativeInjector(
                    plan.fault, settings, targets=self._everyone(plan), link=self._link, kube=self._kube
                )
            case "chaos-mesh" | "stand-in":
                return self._of_chaos_mesh(plan)
        raise WorldError(f"{plan.kind} by {plan.engine}: this world cannot do it")

    def _of_chaos_mesh(self, plan: FaultPlan) -> FaultInjector:
        drilled = self._drilled()
        around = Around(namespace=drilled.namespace, speed=drilled.speed)
        fault = of_node(plan.fault, plan.number, around) if isinstance(plan.fault, NodeFault) else None
        place = Place(
            kube=self._kube,
            namespace=drilled.namespace,
            drill=drilled.id,
            expires_at=drilled.expires,
            owners=(drilled.owner,) if drilled.owner is not None else (),
            engine=plan.engine,
            patience_seconds=6.0,  # less than the harness gives to the recovery of one fault
        )
        return ChaosMesh(fault or of_scenario(plan, around), place, self._everyone(plan), can=CAN)

    async def close(self) -> None:
        """Let the agent take everything back and end."""
        if self._link is not None:
            await self._link.close()

    def _everyone(self, plan: FaultPlan) -> Callable[[], list[Pod]]:
        """Pods of the revisions of a fault, the oldest first."""
        return lambda: [pod for revision in plan.revisions for pod in self._fleet().active(revision)]

    def _targets(self, plan: FaultPlan) -> Callable[[], list[Pod]]:
        most = plan.fault.replicas if isinstance(plan.fault, ProcessFault) else None
        return lambda: [pod for revision in plan.revisions for pod in self._fleet().active(revision)[:most]]
