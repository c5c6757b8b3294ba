"""The harness of one drill in the local world: it does what the state machine commands, and tells it what happened."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from chaos import drill as d
from chaos import facts
from chaos.clock import MICROSECONDS, LiveClock
from chaos.drill import Command, Do, Drill, Event
from chaos.driver import LiveDriver
from chaos.evidence import Counts, counts
from chaos.faults import Seen
from chaos.faults.knobs import Circumstances
from chaos.guards import Guards, Trip
from chaos.injectors import FaultInjector
from chaos.injectors.board import KnobBoard
from chaos.injectors.local import injector_of
from chaos.journal import Journal, JournalError
from chaos.lives import Lives
from chaos.load.config import Load, Users
from chaos.local.processes import Process
from chaos.local.runs import Run
from chaos.local.world import LocalWorld
from chaos.looks import Looks
from chaos.plan import Plan
from chaos.results import DrillResult, Happening, Pods
from chaos.tail import Tail, baseline_problem, settled
from chaos.timeline import Moment
from chaos.world import WorldError
from scenarios.schema import MemoryLeakFault
from strategies.drive import StrategyError
from strategies.effects import (
    AwaitAvailable,
    DeadlinePassed,
    Fate,
    Measure,
    Measured,
    Note,
    Promote,
    Revision,
    RollTo,
    Scale,
    SetWeight,
    Undo,
)
from strategies.tape import Entry

Tell = Callable[[Happening], None]
FAR: Final = 600.0  #: real seconds before the rollout, as far as pods that were always there know
WATCH_SECONDS: Final = 0.2
_LOAD_SECONDS: Final = 15.0  #: real time within which the generator must have begun
_END_SECONDS: Final = 4.0  #: real time that it may take to end
_RECOVER_SECONDS: Final = 8.0
_MOST_HAPPENINGS: Final = 20_000


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
        self.plan, self.run, self._journal, self._tell, self._signals = plan, run, journal, tell, signals
        self.drill = Drill()
        self._old_events = d.events_of(entries)
        self._entries = [entry for entry in entries if entry.kind != d.KIND]
        self.clock = LiveClock(plan.speed, began=time.monotonic() + FAR)
        self.world: LocalWorld | None = None
        self.tail = Tail(run.path)
        self._board = KnobBoard(Circumstances(service=plan.scenario.service, speed=plan.speed, resident_mib=0.0))
        self._injectors: dict[int, FaultInjector] = {}
        self._lives = Lives()
        self._looks = Looks(plan.strategy)
        self._driver: LiveDriver | None = None
        self._load: Process | None = None
        self._load_report: dict[str, Any] | None = None
        self._up = asyncio.Event()
        self._lost = False  #: the processes are gone: there is nothing to recover
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._happenings: list[Happening] = []
        self._judgement: facts.Judgement | None = None
        self._known: facts.Gathered | None = None
        self._measuring: dict[int, tuple[float, Any]] = {}
        self._journalled = True
        self._wall_began = time.time()
        self._guards = Guards(
            plan.settings.limits,
            traffic=lambda: self.tail.latest,
            ready=self._ready,
            tripped=self._trip,
            end=self._end_processes,
        )

    async def go(self, *, undo: bool = False) -> DrillResult:
        """Run the drill to its end; whatever happens, it is judged and swept."""
        self._loop = asyncio.get_running_loop()
        handled = self._handle_signals()
        self.drill = Drill.of(self._old_events)
        if self.drill.began is not None:
            self.clock.began = self.drill.began
        try:
            if self._old_events:
                self.post(d.Resumed(at=time.monotonic(), undo=undo))
            else:
                for command in self.drill.begin():
                    self._do(command)
            while True:
                event = await self._events.get()
                if self._take(event):
                    break
        finally:
            for number in handled:
                self._loop.remove_signal_handler(number)
            await self._let_go()
        return self._result()

    def post(self, event: Event) -> None:
        """Tell the state machine what happened."""
        self._events.put_nowait(event)

    def _take(self, event: Event) -> bool:
        """One event: journal it, move on, do what follows; true when the drill has ended."""
        self._write(event)
        phase = self.drill.phase
        commands = self.drill.take(event)
        if self.drill.phase is not phase:
            self._happened("phase", "drill", phase=self.drill.phase.value)
        for command in commands:
            if command.do is Do.FINISH:
                return True
            self._do(command)
        return False

    def _write(self, event: Event) -> None:
        if not self._journalled:
            return
        try:
            at_us = self.clock.now_us()
            self._journal(at_us, d.KIND, -1, type(event).__name__, d.to_plain(event))
        except WorldError as error:  # a full disk ends the drill, not its clean-up
            self._journalled = False
            self.post(d.Failed(at=time.monotonic(), reason=str(error)))

    # -- commands -------------------------------------------------------------------------------------------------

    def _do(self, command: Command) -> None:
        match command.do:
            case Do.CHECK:
                self.post(d.Checked(at=time.monotonic(), problems=self.plan.problems))
            case Do.START:
                self._begin(self._start())
            case Do.REBUILD:
                self._begin(self._rebuild())
            case Do.ROLL_OUT:
                self._begin(self._roll_out())
            case Do.INJECT:
                self._begin(self._inject(command.fault))
            case Do.STOP:
                self._happened("stop", "drill", reason=command.reason)
                if self._driver is not None:
                    self._driver.stop(command.reason)
            case Do.JUDGE:
                self._begin(self._judge(), command.do.name)
            case Do.RECOVER:
                self._begin(self._recover(), command.do.name)
            case Do.SWEEP:
                self._begin(self._sweep(), command.do.name)

    def _begin(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        """Work beside the machine; what goes wrong in it is an event."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, name))

    def _ended(self, task: asyncio.Task[None], name: str) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error, name)

    def _failed(self, error: BaseException, work: str = "") -> None:
        known = isinstance(error, WorldError | StrategyError | JournalError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        if self._guards.ended:
            text = f"the event loop hung, so a guard ended all processes ({text})"
        if "warden" in text or "were ended" in text:
            self._lost = True
        self.post(d.Failed(at=time.monotonic(), reason=text or type(error).__name__, work=work))

    # -- start ----------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """The world, its traffic, the baseline; then scenario time 0."""
        plan = self.plan
        await self._bring_up()
        began = await self._send(lead_seconds=plan.lead_seconds)
        self.clock.began = began + plan.lead_seconds
        self._guards.start()
        self._begin(self._watch())
        left = self.clock.began - 0.2 - time.monotonic()
        await asyncio.sleep(max(0.0, left))
        self.tail.read()
        ratio, problem = baseline_problem(plan, self.tail.all())
        self.post(d.Steady(at=time.monotonic(), since=began, bad_ratio=ratio, problem=problem))
        if problem:
            return
        await asyncio.sleep(max(0.0, self.clock.began - time.monotonic()))
        self.post(d.RolloutBegan(at=self.clock.began))

    async def _bring_up(self) -> None:
        plan = self.plan
        self.world = world = LocalWorld(
            self.run,
            plan.scenario,
            self.clock,
            seed=plan.settings.seed,
            settings=self._board.settings,
            person=self._person,
            failed=self._failed,
            tell=self._told,
        )
        await world.start(plan.release)
        if any(isinstance(each.fault, MemoryLeakFault) for each in plan.faults):
            self._board.around = dataclasses.replace(self._board.around, resident_mib=self._resident_mib())
        self._injectors = {each.number: injector_of(each, world, self._board) for each in plan.faults}

    def _resident_mib(self) -> float:
        """What a replica needs without a leak: that of one that runs."""
        assert self.world is not None
        for pod in self.world.pods.active["stable"]:
            if pod.process is not None and pod.process.alive:
                pages = int(Path(f"/proc/{pod.process.pid}/statm").read_text().split()[1])
                return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        return 0.0

    async def _send(self, *, lead_seconds: float) -> float:
        """Start the load generator; monotonic seconds of its second 0."""
        plan, world = self.plan, self.world
        assert world is not None
        host, port = world.envoy.address
        path, settings, users = self.tail.next_path, plan.settings, plan.scenario.users
        duration = lead_seconds + plan.deadline_seconds + plan.tail_seconds + 10.0
        schedule: dict[str, Any] = {"steps": self._steps(lead_seconds)}
        if settings.clients is not None:
            schedule = {"clients": settings.clients}
        load = Load(
            host=host,
            port=port,
            log=str(path),
            duration_seconds=duration,
            seed=settings.seed + self.drill.resumed,
            max_rate_per_second=max(1.0, 1.01 * plan.peak_per_second),
            max_requests=min(5_000_000, int(2 * duration * plan.peak_per_second) + 10_000),
            max_lag_seconds=plan.max_lag_seconds,
            users=Users(count=min(users.count, 1_000_000), zipf=users.zipf) if users is not None else None,
            **schedule,
        )
        config = path.with_suffix(".json")
        config.write_text(load.to_json())
        argv = [sys.executable, "-m", "chaos.load", "--config", str(config)]
        self._load = process = await world.processes.execute("load", argv, "load.log")
        async with asyncio.timeout(_LOAD_SECONDS):
            while True:
                self.tail.read()
                log = self.tail.latest
                if log is not None and log.path == path and log.began_us is not None:
                    return log.began_us / MICROSECONDS
                if not process.alive:
                    raise WorldError(f"the load generator ended: {world.processes.log_tail('load.log')}")
                await asyncio.sleep(0.02)

    def _steps(self, lead_seconds: float) -> tuple[tuple[float, float], ...]:
        if not self._old_events:
            return self.plan.steps
        return self.plan.steps_from(lead_seconds)

    async def _person(self, reason: str) -> str:
        """Whoever approves, as the scenario says: after a while, or never."""
        people = self.plan.scenario.people
        self._happened("approval", "person", reason=reason)
        if people.approval_seconds is None:
            await asyncio.Event().wait()
        rng = np.random.default_rng([self.plan.settings.seed, 6])
        delay = (people.approval_seconds or 0.0) * float(np.exp(people.spread * rng.standard_normal()))
        await self.clock.sleep(delay)
        return "the scenario's person"

    # -- the rollout ----------------------------------------------------------------------------------------------

    async def _roll_out(self) -> None:
        assert self.world is not None
        self._up.set()
        for fault in self.plan.faults:
            if fault.from_weight is None and fault.number not in self.drill.asked:
                if fault.from_seconds == 0 and fault.engine == "application":
                    self._board.begin(fault)  # before the strategy's first order, so that no process starts without
                self._begin(self._due(fault.number, fault.from_seconds))
        self._driver = driver = LiveDriver(
            self.world,
            self.plan.strategy,
            self.plan.release,
            clock=self.clock,
            journal=self._journal,
            seen=self._saw,
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
        self.post(d.RolloutEnded(at=time.monotonic(), outcome=fate.outcome.value, reason=fate.reason))

    async def _due(self, fault: int, seconds: float) -> None:
        await self.clock.sleep(max(0.0, seconds - self.clock.now_us() / MICROSECONDS))
        self.post(d.FaultDue(at=time.monotonic(), fault=fault))

    def _saw(self, at_us: int, kind: str, task: int, name: str, what: Any) -> None:
        """What the strategy asked and learned, as it happens."""
        now, then = time.monotonic(), self.clock.real(at_us)
        match kind, what:
            case "effect", Measure(query):
                self._measuring[task] = (then, query)
            case "effect", Undo(reason):
                self.post(d.Decided(at=now, lo=then, outcome="rolled_back", reason=reason))
            case "effect", Promote():
                self.post(d.Decided(at=now, lo=then, outcome="promoted"))
            case "effect", Note(text):
                self._happened("note", name, text=text)
            case "answer", Measured():
                asked, query = self._measuring.pop(task, (then, None))
                bad = query is not None and self._looks.bad(query, what)
                self._happened("look", name, value=what.value, bad=bad, requests=what.requests, errors=what.errors)
                if bad:
                    self.post(d.BadLook(at=now, lo=asked))
            case "answer", DeadlinePassed():
                self.post(d.Decided(at=now, lo=then, outcome="stalled", reason="the progress deadline passed"))
            case "stop", _:
                self._happened("stopped", name, reason=str(what))

    # -- faults ---------------------------------------------------------------------------------------------------

    async def _inject(self, number: int) -> None:
        if self.drill.began is not None:
            await self._up.wait()
        fault, injector = self.plan.faults[number], self._injectors[number]
        asked = time.monotonic()
        self._happened("fault", fault.kind, on=list(fault.revisions), engine=fault.engine)
        try:
            await injector.inject()
        except WorldError as error:
            self.post(d.FaultRefused(at=time.monotonic(), fault=number, reason=str(error)))
            return
        there: Moment = await injector.await_injected()
        self.post(d.FaultInjected(at=there.hi, fault=number, asked=asked, lo=there.lo))
        self._happened("injected", fault.kind, on=list(fault.revisions))
        if fault.for_seconds is not None:
            await self.clock.sleep(fault.for_seconds)
            await injector.recover()
            self._happened("recovered", fault.kind)

    async def _watch(self) -> None:
        """Read the traffic, keep faults in place, and see when there is nothing more to see."""
        slo = self.plan.scenario.slo.latency_seconds
        deadline = self.clock.began + self.plan.deadline_seconds
        while self.drill.phase in (d.Phase.STEADY_STATE, *d._RUNNING):
            await asyncio.sleep(WATCH_SECONDS)
            fresh = self.tail.read()
            if len(fresh):
                self._traffic(counts(fresh, slo))
            for number, injector in self._injectors.items():
                if number in self.drill.injected:
                    await injector.ensure()
            now = time.monotonic()
            if settled(self.plan, self.drill, self.tail.all(), now):
                self.post(d.Settled(at=now))
                return
            if now > deadline:
                self._at_deadline(now)
                return

    def _at_deadline(self, now: float) -> None:
        if self.plan.settings.until_horizon and self.drill.ended is not None:
            self.post(d.Settled(at=now))
            return
        paused = self._driver is not None and self._happenings_of("approval")
        if paused and self.drill.decided is None:
            self.post(d.Decided(at=now, lo=now, outcome="paused", reason="nobody approved before the horizon"))
        self.post(d.DeadlinePassed(at=now, reason="the horizon of the scenario"))

    # -- the end --------------------------------------------------------------------------------------------------

    async def _judge(self) -> None:
        until = self.drill.observed_until or time.monotonic()
        await self._end_load()
        self.tail.read()
        self._known = self._gathered(until)
        self._judgement = facts.judged(self._known)
        said = self._judgement.verdict
        self._happened("verdict", "drill", verdict=said.word.value, reason=said.reasons[0] if said.reasons else "")
        self.post(
            d.Judged(at=time.monotonic(), verdict=said.word.value, exit_code=said.exit_code, reasons=said.reasons)
        )

    async def _end_load(self) -> None:
        """End the traffic, so that its report is there."""
        load, world = self._load, self.world
        if load is None or world is None:
            return
        if load.alive and not self._lost:
            await world.processes.signal(load, signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(load.exited), _END_SECONDS)
            except TimeoutError:
                await world.processes.signal(load, signal.SIGKILL)
        latest = self.tail.latest
        report = Path(f"{latest.path}.json") if latest is not None else None
        if report is not None and report.is_file():
            self._load_report = json.loads(report.read_text())

    def _gathered(self, until: float) -> facts.Gathered:
        plan, began = self.plan, self.clock.began
        records = self.tail.all()
        if self._load is None and len(records):  # the traffic ended with the harness that was killed
            until = min(until, int(records["done_us"][-1]) / MICROSECONDS)
        kept = records[records["done_us"] <= until * MICROSECONDS]
        seen = Seen(
            records=kept,
            began=began,
            until=until,
            speed=plan.speed,
            lives=self._lives.all(),
            usual_start_seconds=self._usual_start_seconds(),
            **(self._lives.scraped(self.world.scraper.store, self.clock) if self.world is not None else {}),
        )
        return facts.Gathered(
            plan=plan,
            drill=self.drill,
            records=kept,
            seen=seen,
            pods=self._pods(until),
            until=until,
            load=self._load_report,
            happenings=self._happenings,
            knows_looks=self._looks.known,
        )

    def _usual_start_seconds(self) -> float:
        service = self.plan.scenario.service
        probe = service.probes.readiness
        start = service.startup.start_seconds * float(np.exp(2 * service.startup.spread))
        start += probe.period_seconds * probe.success_threshold if probe is not None else 0.0
        return self.clock.real_seconds(start) + 1.0

    def _pods(self, until: float) -> Pods:
        if self.world is None:
            return Pods(least_available=0, peak=0, seconds=0.0)
        pods = self.world.pods
        end_us = min(
            (until - self.clock.began) * self.plan.speed * MICROSECONDS,
            self.plan.scenario.horizon_seconds * MICROSECONDS,
        )
        lives = [*pods.lives, *((pod.created_us, end_us) for pod in pods.all())]
        total = sum(max(0.0, min(gone, end_us) - max(0, made)) for made, gone in lives)
        return Pods(least_available=pods.least_available, peak=pods.peak, seconds=total / MICROSECONDS)

    async def _recover(self) -> None:
        left: list[str] = []
        for number in sorted(self.drill.asked):
            if number not in self._injectors or self._lost:
                continue
            injector = self._injectors[number]
            try:
                async with asyncio.timeout(_RECOVER_SECONDS):
                    await injector.recover()
                    left += [f"{self.plan.faults[number].kind}: {who}" for who in await injector.await_recovered()]
                left += await injector.sweep()
            except (WorldError, TimeoutError) as error:
                if not self._lost:
                    left.append(f"{self.plan.faults[number].kind}: {error or 'no answer in time'}")
        self.post(d.Recovered(at=time.monotonic(), left=tuple(left)))

    async def _sweep(self) -> None:
        """End everything of the run; what cannot be ended in good order is ended by its run id."""
        self._guards.stop()
        try:
            await self._stop_world()
            if self.plan.settings.keep_traffic:
                self._keep_traffic()
        except (WorldError, OSError) as error:
            self._happened("trouble", "sweep", reason=str(error))
        left = await asyncio.to_thread(self.run.clear)
        self.post(d.Swept(at=time.monotonic(), left=tuple(left)))

    async def _stop_world(self) -> None:
        if self.world is not None:
            await self.world.stop()
        await self._board.close()

    def _keep_traffic(self) -> None:
        folder = self.run.path / "result"
        folder.mkdir(exist_ok=True)
        for path in self.run.path.glob("traffic-*.bin"):
            path.rename(folder / path.name)

    async def _let_go(self) -> None:
        """Whatever became of the drill: no task, no thread and no process of it stays."""
        self._guards.stop()
        running = [*self._tasks]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with contextlib.suppress(WorldError, OSError):
            await self._stop_world()

    def _result(self) -> DrillResult:
        if self._known is None or self._judgement is None:  # it was judged before the harness was killed
            self.tail.read()
            self._known = self._gathered(self.drill.observed_until or time.monotonic())
            self._judgement = facts.judged_before(self._known)
        return facts.result_of(
            self._known,
            self._judgement,
            run_id=self.run.id,
            world="local",
            journal=str(self.run.path / "journal.jsonl"),
            wall_began=self._wall_began,
        )

    # -- after a kill ---------------------------------------------------------------------------------------------

    async def _rebuild(self) -> None:
        """Bring the world to where the last orders left it, then let the strategy go on from its journal."""
        began = self.drill.began
        assert began is not None
        self.clock.began = began
        for number in sorted(self.drill.asked):
            if self.plan.faults[number].engine == "application":
                self._board.begin(
                    self.plan.faults[number]
                )  # before the first process starts: none is healthy by chance
        self._remember()
        await self._bring_up()
        await self._last_orders()
        await self._send(lead_seconds=began - time.monotonic())
        self._guards.start()
        self._begin(self._watch())
        await self._roll_out()

    def _remember(self) -> None:
        """Post what the strategy decided when the harness was killed before it could say so."""
        if self.drill.decided is not None:
            return
        for entry in self._entries:
            at = self.clock.real(entry.at_us)
            match entry.kind, entry.what:
                case "effect", Undo(reason):
                    self.post(d.Decided(at=at, lo=at, outcome="rolled_back", reason=reason))
                case "effect", Promote():
                    self.post(d.Decided(at=at, lo=at, outcome="promoted"))
                case "answer", DeadlinePassed():
                    self.post(d.Decided(at=at, lo=at, outcome="stalled", reason="the progress deadline passed"))

    async def _last_orders(self) -> None:
        """Give the last orders about pods and traffic again, pods first; traffic comes when they are there."""
        world, scale, roll, weight = self.world, dict[Revision, int](), None, 0.0
        assert world is not None
        for entry in self._entries:
            if entry.kind != "effect":
                continue
            match entry.what:
                case Scale(revision, replicas):
                    scale[revision], roll = replicas, None
                case RollTo():
                    roll = entry.what
                    scale.clear()
                case SetWeight():
                    weight = entry.what.weight
        for revision, replicas in scale.items():
            await world.scale(revision, replicas)
        if roll is not None:
            await world.roll_to(roll)
        elif weight > 0:
            needed = scale.get("canary", 0)
            startup = self.plan.scenario.service.startup
            patience = 5 * (startup.schedule_seconds + startup.pull_seconds + startup.start_seconds) + 60.0
            await world.await_available(AwaitAvailable("canary", needed, deadline_seconds=patience))
            await world.set_weight(weight)

    # -- what others tell -----------------------------------------------------------------------------------------

    def _told(self, kind: str, who: str, **told: Any) -> None:
        """The world says what happens to pods and weights."""
        self._lives.told(kind, who, told, time.monotonic())
        self._happened(kind, who, **told)
        if kind == "weight_effective":
            for fault in self.plan.faults:
                if fault.from_weight is not None and told["weight"] >= fault.from_weight > 0:
                    self.post(d.FaultDue(at=time.monotonic(), fault=fault.number))

    def _happened(self, kind: str, who: str, **told: Any) -> None:
        happening = Happening(at_seconds=self.clock.now_us() / MICROSECONDS, kind=kind, who=who, facts=told)
        if len(self._happenings) < _MOST_HAPPENINGS:
            self._happenings.append(happening)
        if self._tell is not None:
            self._tell(happening)

    def _traffic(self, counted: list[Counts]) -> None:
        if self._tell is not None:
            by = {each.revision or "all": dataclasses.asdict(each) for each in counted}
            now = self.clock.now_us() / MICROSECONDS
            self._tell(Happening(at_seconds=now, kind="traffic", who="load", facts=by))

    def _happenings_of(self, kind: str) -> list[Happening]:
        return [each for each in self._happenings if each.kind == kind]

    # -- guards and signals ---------------------------------------------------------------------------------------

    def _ready(self) -> int:
        world = self.world
        if world is None or self.drill.began is None:
            return 1 << 30
        return sum(pod.ready for revision in ("stable", "canary") for pod in tuple(world.pods.active[revision]))

    def _trip(self, trip: Trip) -> None:
        """In the thread of the guards."""

        def heard() -> None:
            self._guards.heard()
            self.post(d.Tripped(at=trip.at, guard=trip.guard, reason=trip.reason))

        self._loop.call_soon_threadsafe(heard)

    def _end_processes(self) -> None:
        """In the thread of the guards: the loop hangs, so nobody else can."""
        self._lost = True
        for pid in self.run.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _handle_signals(self) -> list[int]:
        if not self._signals:
            return []
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        for number in numbers:
            self._loop.add_signal_handler(number, self._interrupted, number.name)
        return [int(number) for number in numbers]

    def _interrupted(self, name: str) -> None:
        self.post(d.Interrupted(at=time.monotonic(), by=name))
