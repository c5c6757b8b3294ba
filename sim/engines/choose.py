"""Which fidelity is valid for a scenario, and what to say when the one used is not."""

from __future__ import annotations

from typing import Final

from sim.model import Model

#: Erlang C at peak up to which counts without queue memory are right (docs/explanation/model.md, "Validity")
VALID_UP_TO: Final = 0.1


def erlang_c(servers: int, load: float) -> float:
    """Probability that a request waits in an M/M/c queue.

    Args:
        servers: threads of one pod, 1 or more.
        load: offered load in erlangs (arrival rate x mean service time), 0 or more.

    Returns:
        0..1; 1.0 where load >= servers (no steady state).

    Source:
        Erlang (1917), by the usual recursion on the loss formula.

    >>> round(erlang_c(10, 8.0), 6)
    0.40918
    """
    if servers < 1 or load < 0:
        raise ValueError(f"servers must be 1 or more and load 0 or more, got {servers} and {load}")
    if load >= servers:
        return 1.0
    lost = 1.0
    for k in range(1, servers + 1):
        lost = load * lost / (k + load * lost)
    busy = load / servers
    return lost / (1 - busy * (1 - lost))


def waits_at_peak(model: Model) -> float:
    """Erlang C of one pod of the full service at the peak of the traffic."""
    service = model.scenario.service
    load = model.law.peak_per_second * model.latency.mean_seconds / service.replicas
    return erlang_c(service.threads, load)


def warnings(model: Model, engine: str) -> tuple[str, ...]:
    """What a reader of results must know about the validity of the engine used."""
    waits = waits_at_peak(model)
    if waits <= VALID_UP_TO or engine == "event":
        return ()
    return (
        f"fidelity iid: {waits:.0%} of requests would wait for a thread at peak (Erlang C, valid up to "
        f"{VALID_UP_TO:.0%}): "
        "slow responses lack the memory of the queue; use --engine event, more threads or more replicas",
    )
