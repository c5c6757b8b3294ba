"""A drill while it runs: a board that redraws on a terminal, one line a change elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from chaos.results import Happening, revision_told
from rolloutlab import text
from rolloutlab.drill.door import Planned, Tell, View
from rolloutlab.drill.record import Step
from rolloutlab.drill.words import fault_text, step_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

REVISIONS: Final = ("stable", "canary")
#: after the words of a look
_JUDGED: Final[dict[bool | None, str]] = {True: ", bad", False: ", good", None: ""}
_REDRAW_SECONDS: Final = 0.25
_TRAFFIC_SECONDS: Final = 10.0  #: real time between two lines about traffic
_WINDOW: Final = 25  #: counts that a ratio is taken of: about 5 s of real time
_BEFORE: Final = -500.0  #: scenario time that only the start of the world can have: its zero is not fixed yet


@dataclass(slots=True)
class State:
    """What is known at this moment; `hear` is the only thing that changes it."""

    phase: str = "preflight"
    at_seconds: float = 0.0
    weight: float = 0.0
    ready: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in REVISIONS})
    traffic: deque[tuple[float, Mapping[str, Any]]] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    looks: list[bool | None] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)  #: kind -> what became of it
    last: deque[Step] = field(default_factory=lambda: deque(maxlen=6))
    decision: str = ""
    verdict: str = ""

    def hear(self, one: Happening) -> Step | None:
        """Take it in; what happened in words, None when nothing changed that a reader follows."""
        self.at_seconds = one.at_seconds
        step = step_of(one)
        if step is not None and step.kind == "note" and self.last and self.last[-1].text == step.text:
            return None  # trouble that lasts is told once
        match one.kind:
            case "phase":
                self.phase = str(one.facts.get("phase", ""))
            case "weight_effective":
                self.weight = float(one.facts.get("weight", 0.0))
            case "pod_ready":
                self._pods(one).add(one.who)
            case "container_died" | "pod_deleted" | "pod_unready" | "pod_gone":
                self._pods(one).discard(one.who)
            case "traffic":
                self.traffic.append((one.at_seconds, one.facts))
            case "look":
                self.looks.append(step.bad if step is not None else None)
            case "fault" | "injected" | "recovered":
                self.faults[one.who] = {"fault": "asked for", "injected": "in place", "recovered": "taken back"}[
                    one.kind
                ]
            case "decision":
                self.decision = step.text if step is not None else ""
            case "verdict":
                self.verdict = f"{one.facts.get('verdict', '')}: {one.facts.get('reason', '')}"
        if step is not None and step.kind != "pods":
            self.last.append(step)
        return step

    def _pods(self, one: Happening) -> set[str]:
        return self.ready.setdefault(revision_told(one.who, one.facts), set())

    def counts(self, revision: str) -> tuple[int, int, float | None]:
        """Requests, bad ones and the largest p99 (real seconds) of the last few seconds."""
        found = [told[revision] for _, told in self.traffic if revision in told]
        tails = [one["p99_seconds"] for one in found if one.get("p99_seconds") is not None]
        requests = sum(int(one["requests"]) for one in found)
        return requests, sum(int(one["failed"]) + int(one["slow"]) for one in found), max(tails, default=None)

    def per_second(self, revision: str, speed: float) -> float:
        """Requests a second of scenario time in the last few seconds."""
        if len(self.traffic) < 2:
            return 0.0
        span = self.traffic[-1][0] - self.traffic[0][0]
        later = list(self.traffic)[1:]
        count = sum(int(told[revision]["requests"]) for _, told in later if revision in told)
        return count / span if span > 0 else 0.0


# --- one line a change -------------------------------------------------------------------------------------------


class Lines:
    """Writes one line for each change, and now and then one about traffic."""

    def __init__(self, one: Planned, stream: IO[str], clock: Any = time.monotonic) -> None:
        self._state, self._stream, self._clock = State(), stream, clock
        self._one = one
        self._next = 0.0

    def __call__(self, happening: Happening) -> None:
        """Hear what happens."""
        step = self._state.hear(happening)
        if step is not None and step.kind != "pods":
            self._write(step.at_seconds, step.kind, step.text + _JUDGED[step.bad])
        elif (
            happening.kind == "traffic"
            and self._clock() >= self._next
            and self._state.phase not in ("verdict", "sweep")
        ):
            self._next = self._clock() + _TRAFFIC_SECONDS
            self._write(happening.at_seconds, "traffic", traffic_text(self._state))

    def _write(self, at_seconds: float, kind: str, words: str) -> None:
        when = f"{at_seconds:9.1f} s" if at_seconds > _BEFORE else " " * 11
        self._stream.write(f"{when}  {kind:<8}  {text.safe(words)}\n")
        self._stream.flush()


def traffic_text(state: State) -> str:
    """What users met in the last few seconds, by revision."""
    parts = []
    for name in REVISIONS:
        requests, bad, tail = state.counts(name)
        if requests:
            late = f", p99 {1000 * tail:,.0f} ms" if tail is not None else ""
            parts.append(f"{name} {requests:,} requests, {100 * bad / requests:.3g} % bad{late}")
    return "; ".join(parts) or "no responses"


# --- a board on a terminal ---------------------------------------------------------------------------------------


class Board:
    """Redraws itself in place."""

    def __init__(self, one: Planned, number: int, console: Console) -> None:
        from rich.live import Live

        self._one, self._number, self._state = one, number, State()
        self._faults = {fault.kind: fault_text(fault) for fault in one.plan.faults}
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> Board:
        self._live.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        self._live.__exit__(*about)

    def __call__(self, happening: Happening) -> None:
        """Hear what happens; drawn at most a few times a second, for the loop has more to do."""
        step = self._state.hear(happening)
        now = time.monotonic()
        if now - self._drawn >= _REDRAW_SECONDS or (step is not None and step.kind in ("decision", "phase")):
            self._drawn = now
            self._live.update(self.drawn(), refresh=True)

    def drawn(self) -> RenderableType:
        """The board as it is now."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        state, plan = self._state, self._one.plan
        speed = f"sped up {plan.speed:.3g}x" if plan.speed != 1 else "real time"
        when = f"{state.at_seconds:,.0f} s" if state.at_seconds > _BEFORE else "–"
        number = f" · drill {self._number + 1}" if self._number else ""
        head = Text(
            text.safe(f"{self._one.name} · {plan.settings.world} · {speed} · seed {plan.settings.seed}{number}"),
            style="bold",
        )
        filled = round(20 * state.weight)
        weight = Text(f"weight  {'█' * filled}{'░' * (20 - filled)} {100 * state.weight:.3g} % to the canary")
        table = Table(box=None, padding=(0, 3, 0, 0), show_edge=False)
        for name in ("", "ready", "requests/s", "bad", "p99, real ms"):
            table.add_column(name, justify="left" if not name else "right")
        for name in REVISIONS:
            table.add_row(*self._row(name))
        rows: list[RenderableType] = [head, Text(f"{state.phase.replace('_', ' ')} · {when}"), weight, table]
        for kind, words in self._faults.items():
            rows.append(Text(text.safe(f"fault   {words}: {state.faults.get(kind, 'to come')}")))
        if state.looks:
            marks = "".join({True: "✗", False: "✓", None: "?"}[look] for look in state.looks[-60:])
            rows.append(Text(f"looks   {marks}"))
        if state.decision:
            rows.append(Text(text.safe(f"decided {state.decision}"), style="bold", overflow="ellipsis", no_wrap=True))
        for step in state.last:
            style = "bold" if step.kind in ("decision", "fault") else "dim"
            at = f"{step.at_seconds:9,.1f} s" if step.at_seconds > _BEFORE else " " * 11
            rows.append(Text(text.safe(f"{at}  {step.text}"), style=style, overflow="ellipsis", no_wrap=True))
        if state.verdict:
            rows.append(Text(text.safe(state.verdict), style="bold"))
        return Group(*rows)

    def _row(self, name: str) -> tuple[str, str, str, str, str]:
        state = self._state
        requests, bad, tail = state.counts(name)
        ratio = f"{100 * bad / requests:.2f} %" if requests else text.NONE
        late = f"{1000 * tail:,.0f}" if tail is not None else text.NONE
        rate = state.per_second(name, self._one.plan.speed)
        return name, str(len(state.ready.get(name, ()))), f"{rate:,.0f}" if requests else text.NONE, ratio, late


# --- which of them -----------------------------------------------------------------------------------------------


class Harmless:
    """A view that cannot harm a drill: when its stream breaks it falls silent."""

    def __init__(self, shown: Tell) -> None:
        self.shown: Tell | None = shown

    def __call__(self, happening: Happening) -> None:
        """Hear what happens."""
        if self.shown is None:
            return
        try:
            self.shown(happening)
        except (OSError, ValueError):  # a pipe without a reader, a stream that was closed
            self.shown = None


def view(stream: IO[str] | None = None) -> View | None:
    """A board where the stream (stderr) is a terminal that can redraw, lines elsewhere; None without a stream."""
    chosen = sys.stderr if stream is None else stream
    if chosen is None:  # closed before Python began (`2>&-`)
        return None
    board = chosen.isatty() and os.environ.get("TERM") != "dumb"

    @contextmanager
    def shown(one: Planned, number: int) -> Iterator[Tell]:
        if not board:
            lines = Lines(one, chosen)
            with contextlib.suppress(OSError, ValueError):
                chosen.write(text.safe(f"drill {number + 1}: {one.name}, seed {one.plan.settings.seed}") + "\n")
            yield Harmless(lines)
            return
        from rich.console import Console

        with Board(one, number, Console(file=chosen)) as drawn:
            yield Harmless(drawn)

    return shown
