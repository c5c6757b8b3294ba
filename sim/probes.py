"""When a container becomes ready or is killed by a probe, as the kubelet's probe workers decide it."""

from __future__ import annotations

from sim.model import US, Model, us
from strategies.models import kubernetes


class ProbeTimes:
    """When a container becomes ready or is killed, as delays from its start; remembered per start-up time."""

    def __init__(self, model: Model) -> None:
        probes = model.scenario.service.probes
        self._readiness, self._liveness, self._startup = probes.readiness, probes.liveness, probes.startup
        self.probed = probes.readiness is not None  #: is readiness asked for at all
        self._known: dict[int, tuple[int, int | None]] = {}

    def of(self, app_us: int) -> tuple[int, int | None]:
        """(until Ready, until a probe kills it or None) for a process that can answer `app_us` after the start."""
        known = self._known.get(app_us)
        if known is None:
            known = self._known[app_us] = (self._ready_us(app_us), self._kill_us(app_us))
        return known

    def _ready_us(self, app_us: int) -> int:
        """From the start of the container until Ready; 0 without a readiness probe."""
        seconds = app_us / US
        if self._startup is not None:
            seconds = kubernetes.readiness_seconds(
                0.0, seconds, self._startup.initial_delay_seconds, self._startup.period_seconds, 1
            )
        probe = self._readiness
        if probe is None:
            return us(seconds) if self._startup is not None else 0
        return us(
            kubernetes.readiness_seconds(
                0.0, seconds, probe.initial_delay_seconds, probe.period_seconds, probe.success_threshold
            )
        )

    def _kill_us(self, app_us: int) -> int | None:
        """From the start of the container until a probe kills it for not answering; None when it answers in time."""
        probe = self._startup or self._liveness
        if probe is None:
            return None
        killed = kubernetes.liveness_kill_seconds(
            0.0,
            app_us / US,
            probe.initial_delay_seconds,
            probe.period_seconds,
            probe.failure_threshold,
            0.0,  # a process that does not listen yet refuses at once: no timeout passes
        )
        return None if killed is None else us(killed)
