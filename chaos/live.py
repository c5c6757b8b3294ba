"""The harness of one drill in a real world: it does what the state machine commands, and tells it what happened."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from chaos import drill_events as d
from chaos import facts, rebuild
from chaos.clock import MICROSECONDS, LiveClock
from chaos.drill import RUNNING, Command, Do, Drill, Phase
from chaos.driver import LiveDriver
from chaos.evidence import summary
from chaos.faulting import Faulting
from chaos.faults import FaultPlan
from chaos.gather import gathered
from chaos.guards import Guards, Trip
from chaos.hearing import Hearing, Tell
from chaos.journal import Journal
from chaos.local.runs import Run
from chaos.loop import DrillLoop, Work
from chaos.plan import Plan
from chaos.results import DrillResult
from chaos.sender import Sender
from chaos.site import Around, Site
from chaos.sites import site_of
from chaos.tail import Tail, baseline_problem, settled
from chaos.world import WorldError
from strategies.effects import Fate
from strategies.tape import Entry

FAR: Final = 600.0  #: real seconds before the rollout, as far as pods that were always there know
WATCH_SECONDS: Final = 0.2


class LiveDrill:
    """One drill; `go` runs it to its result.

    Args:
        entries: what the journal of a killed harness holds, to go on with it.
        tell: hears what happens, for a live view; it must be quick.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        journal: Journal,
        *,
        entries: Sequence[Entry] = (),
        tell: Tell | None = None,
        signals: bool = False,
    ) -> None:
        self.plan, self.run, self._journal, self._signals = plan, run, journal, signals
        events = d.events_of(entries)
        self.drill, self._resumes = Drill.of(events), bool(events)
        self._entries = [entry for entry in entries if entry.kind != d.KIND]
        self.clock = LiveClock(plan.speed, began=time.monotonic() + FAR)
        self.site: Site | None = None
        self.tail = Tail(run.path)
        self._loop = DrillLoop(self.drill, journal, self.clock, does=self._does, entered=self._entered)
        self._hearing = Hearing(plan, self.clock, post=self._loop.post, tell=tell)
        self._faults = Faulting(plan, self.clock, self._hearing, self._loop.post)
        self._work = {
            Do.START: self._start,
            Do.REBUILD: self._rebuild,
            Do.ROLL_OUT: self._roll_out,
            Do.JUDGE: self._judge,
            Do.RECOVER: self._recover,
            Do.SWEEP: self._sweep,
        }
        self._driver: LiveDriver | None = None
        self._sender = Sender(plan, self.tail, failed=self._failed)
        self._up = asyncio.Event()
        self._lost = False  #: the processes are gone: there is nothing to recover
        self._judgement: facts.Judgement | None = None
        self._known: facts.Gathered | None = None
        self._wall_began = time.time()
        self._guards = Guards(
            plan.limits,
            traffic=lambda: self.tail.latest,
            ready=self._ready,
            tripped=self._trip,
            end=self._end_processes,
        )

    async def go(self, *, undo: bool = False) -> DrillResult:
        """Run the drill to its end; whatever happens, it is judged and swept."""
        if self.drill.began is not None:
            self.clock.began = self.drill.began
        first = d.Resumed(at=time.monotonic(), undo=undo) if self._resumes else None
        try:
            await self._loop.run(first, signals=self._signals)
        finally:
            self._guards.stop()
            with contextlib.suppress(WorldError, OSError):
                await self._stop_world()
        return self._result()

    def _failed(self, error: BaseException) -> None:
        """The world says that it cannot go on."""
        text = str(error)
        if self._guards.ended:
            text = f"the event loop hung, so a guard ended all processes ({text})"
        self._lost = self._lost or "warden" in text
        self._loop.failed(WorldError(text) if isinstance(error, WorldError) else error)

    # -- commands -------------------------------------------------------------------------------------------------

    def _does(self, command: Command) -> Work | None:
        match command.do:
            case Do.CHECK:
                self._loop.post(d.Checked(at=time.monotonic(), problems=self.plan.problems))
            case Do.STOP:
                self._hearing.happened("stop", "drill", reason=command.reason)
                if self._driver is not None:
                    self._driver.stop(command.reason)
            case Do.INJECT:
                return self._inject(command.fault)
            case Do.START | Do.REBUILD | Do.ROLL_OUT | Do.JUDGE | Do.RECOVER | Do.SWEEP:
                return self._work[command.do]()
        return None

    def _entered(self, phase: Phase) -> None:
        self._hearing.happened("phase", "drill", phase=phase.value)

    # -- start ----------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """The world, its traffic, the baseline; then scenario time 0."""
        plan = self.plan
        await self._bring_up()
        began = await self._send(plan.lead_seconds)
        self.clock.began = began + plan.lead_seconds
        self._guards.start()
        self._loop.begin(self._watch())
        left = self.clock.began - 0.2 - time.monotonic()
        await asyncio.sleep(max(0.0, left))
        self.tail.read()
        ratio, problem = baseline_problem(plan, self.tail.all())
        self._loop.post(d.Steady(at=time.monotonic(), since=began, bad_ratio=ratio, problem=problem))
        if problem:
            return
        await asyncio.sleep(max(0.0, self.clock.began - time.monotonic()))
        self._loop.post(d.RolloutBegan(at=self.clock.began))

    async def _bring_up(self, armed: Iterable[int] = ()) -> None:
        around = Around(
            plan=self.plan,
            run=self.run,
            clock=self.clock,
            person=self._person,
            failed=self._failed,
            tell=self._hearing.world,
        )
        self.site = site = site_of(around)
        for number in armed:
            site.arm(self.plan.faults[number])
        await site.start()
        self._faults.bind(site)

    async def _send(self, lead_seconds: float) -> float:
        assert self.site is not None
        seed = self.plan.settings.seed + self.drill.resumed
        return await self._sender.start(self.site.processes, self.site.target(), lead_seconds=lead_seconds, seed=seed)

    async def _person(self, reason: str) -> str:
        """Whoever approves, as the scenario says: after a while, or never."""
        people = self.plan.scenario.people
        self._hearing.happened("approval", "person", reason=reason)
        if people.approval_seconds is None:
            await asyncio.Event().wait()
        rng = np.random.default_rng([self.plan.settings.seed, 6])
        delay = (people.approval_seconds or 0.0) * float(np.exp(people.spread * rng.standard_normal()))
        await self.clock.sleep(delay)
        return "the scenario's person"

    # -- the rollout ----------------------------------------------------------------------------------------------

    async def _roll_out(self) -> None:
        assert self.site is not None
        self._up.set()
        for fault in self._coming():
            if fault.from_seconds == 0:
                self.site.arm(fault)  # before the first order
            self._loop.begin(self._faults.due(fault))
        self._driver = driver = LiveDriver(
            self.site.world,
            self.plan.strategy,
            self.plan.release,
            clock=self.clock,
            journal=self._journal,
            seen=self._hearing.strategy,
            entries=self._entries,
        )
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0)  # what is journalled was replayed
        if self.drill.stopped:
            driver.stop(self.drill.stopped)
        try:
            fate: Fate = await running
        finally:
            running.cancel()
        self._loop.post(d.RolloutEnded(at=time.monotonic(), outcome=fate.outcome.value, reason=fate.reason))

    def _coming(self) -> list[FaultPlan]:
        """Faults whose time will come by the clock."""
        return [each for each in self.plan.faults if each.from_weight is None and each.number not in self.drill.asked]

    async def _inject(self, number: int) -> None:
        await self._up.wait()
        await self._faults.inject(number, self.drill.asked[number])

    async def _watch(self) -> None:
        """Read the traffic, keep faults in place, and see when there is nothing more to see."""
        slo = self.plan.scenario.slo.latency_seconds
        deadline = self.clock.began + self.plan.deadline_seconds
        while self.drill.phase in (Phase.STEADY_STATE, *RUNNING):
            await asyncio.sleep(WATCH_SECONDS)
            fresh = self.tail.read()
            if len(fresh):
                self._hearing.traffic(summary(fresh, slo))
            await self._faults.ensure(tuple(self.drill.injected))
            now = time.monotonic()
            if settled(self.plan, self.drill, self.tail.all(), now):
                self._loop.post(d.Settled(at=now))
                return
            if now > deadline:
                self._at_deadline(now)
                return

    def _at_deadline(self, now: float) -> None:
        if self.plan.settings.until_horizon and self.drill.ended is not None:
            self._loop.post(d.Settled(at=now))
            return
        if self._hearing.waits_for_person() and self.drill.decided is None:
            self._loop.post(d.Decided(at=now, lo=now, outcome="paused", reason="nobody approved before the horizon"))
        self._loop.post(d.DeadlinePassed(at=now, reason="the horizon of the scenario"))

    # -- the end --------------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        await self._loop.quiet()
        await self._sender.end(lost=self._lost)
        self.tail.read()
        self._known = self._gathered()
        self._judgement = facts.judged(self._known)
        said = self._judgement.verdict
        self._hearing.happened("verdict", "drill", verdict=said.word.value, reason=next(iter(said.reasons), ""))
        self._loop.post(
            d.Judged(at=time.monotonic(), verdict=said.word.value, exit_code=said.exit_code, reasons=said.reasons)
        )

    def _gathered(self) -> facts.Gathered:
        records, until = self.tail.all(), self.drill.observed_until or time.monotonic()
        if not self._sender.began and len(records):  # the traffic ended with the harness that was killed
            until = min(until, int(records["done_us"][-1]) / MICROSECONDS)
        return gathered(
            self.plan,
            self.drill,
            self.clock,
            self._hearing,
            self.site,
            records=records,
            until=until,
            load=self._sender.report,
        )

    async def _recover(self) -> None:
        # what cannot be taken back from processes that are going wrong ends with them, in the sweep
        left = await self._faults.recover(self.drill.asked, lambda: self._lost or bool(self.drill.failure))
        self._loop.post(d.Recovered(at=time.monotonic(), left=left))

    async def _sweep(self) -> None:
        """End everything of the run; what cannot be ended in good order is ended by its run id."""
        self._guards.stop()
        try:
            await self._stop_world()
            if self.plan.settings.keep_traffic:
                self._keep_traffic()
        except (WorldError, OSError) as error:
            self._hearing.happened("trouble", "sweep", reason=str(error))
        left = await (self.site.clear() if self.site is not None else asyncio.to_thread(self.run.clear))
        self._loop.post(d.Swept(at=time.monotonic(), left=tuple(left)))

    async def _stop_world(self) -> None:
        if self.site is not None:
            await self.site.stop()

    def _keep_traffic(self) -> None:
        folder = self.run.path / "result"
        folder.mkdir(exist_ok=True)
        for path in self.run.path.glob("traffic-*.bin"):
            path.rename(folder / path.name)

    def _result(self) -> DrillResult:
        if self._known is None or self._judgement is None:  # it was judged before the harness was killed
            self.tail.read()
            self._known = self._gathered()
            self._judgement = facts.judged_before(self._known)
        return facts.result_of(
            self._known,
            self._judgement,
            run_id=self.run.id,
            world=self.plan.settings.world,
            journal=str(self.run.path / "journal.jsonl"),
            wall_began=self._wall_began,
        )

    # -- after a kill ---------------------------------------------------------------------------------------------

    async def _rebuild(self) -> None:
        """Bring the world to where the last orders left it, then let the strategy go on from its journal."""
        began = self.drill.began
        assert began is not None
        self.clock.began = began
        if self.drill.decided is None:  # it was killed between a decision and its event
            for decision in rebuild.decisions(self._entries, self.clock):
                self._loop.post(decision)
        await self._bring_up(sorted(self.drill.asked))
        assert self.site is not None
        await rebuild.give(rebuild.last_orders(self._entries), self.site.world, self.plan.scenario.service.startup)
        await self._send(began - time.monotonic())
        self._guards.start()
        self._loop.begin(self._watch())
        await self._roll_out()

    # -- guards and signals ---------------------------------------------------------------------------------------

    def _ready(self) -> int:
        if self.site is None or self.drill.began is None:
            return 1 << 30
        return self.site.ready()

    def _trip(self, trip: Trip) -> None:
        """In the thread of the guards."""
        event = d.Tripped(at=trip.at, guard=trip.guard, reason=trip.reason)
        self._loop.post_from_thread(event, then=self._guards.heard)

    def _end_processes(self) -> None:
        """In the thread of the guards: the loop hangs, so nobody else can."""
        if self.site is not None:
            self._lost = self.site.end()
