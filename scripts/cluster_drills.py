"""Every drill of a cluster, one after the other, and the page that tells of them (docs/explanation/drill-results.md).

Usage: python scripts/cluster_drills.py [--only WORD] [--repeats N] [--controls N] [--first-seed N] [--kills N] [--more]

Each drill is the command that a user would type. A drill that was interrupted or refused is told as such. With --only,
drills whose names hold the word are done, and no harness is killed; with --more the page tells of them beside what
earlier runs measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import random
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import node_remains as remains

from chaos.cluster.native.node import need

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "drill-results.md"
RESULTS = ROOT / "out" / "drill-results.jsonl"
COMMAND = [sys.executable, "-m", "rolloutlab"]
HARM = "packet_delay:latency=50ms"  #: that nobody would roll back for
NO_GUARD = ("--guard", "error_ratio=off")  #: where the fault fails every request of the new pods
NOTHING_LEFT = "nothing left"
RUNS = 20_000  #: replications of a prediction
TIMES = DETECTION, ROLLBACK = "detection_seconds", "rollback_seconds"
STRATEGIES = ("rolling", "blue-green", "canary")


@dataclass(frozen=True)
class Case:
    """One drill, and what should become of the rollout."""

    name: str
    scenario: str
    strategy: str
    outcome: str
    words: tuple[str, ...] = ()
    variant: str = ""
    kind: str = "drill"  #: main: repeated; control: repeated, and must be right each time
    predicted_as: str = ""  #: of a control: the variant that the simulator is asked for, where it is another one

    def command(self, seed: int) -> list[str]:
        """The words after `rolloutlab`."""
        variant = ["--variant", self.variant] if self.variant else []
        given = ["drill", self.scenario, "--strategy", self.strategy, "--world", "cluster"]
        return [*given, *variant, *self.words, "--seed", str(seed)]


def cases() -> list[Case]:
    """All of them: the main ones, the usual chaos tests, faults from outside, and the controls."""
    found = [
        Case(f"half of responses fail, {one}", "chaos-half", one, "rolled_back", kind="main") for one in STRATEGIES
    ]
    for scenario, what, words in (
        ("chaos-errors", "5 % of responses fail", ()),
        ("chaos-latency", "2 s more for every response", ()),
        ("chaos-leak", "memory leaks", NO_GUARD),
        ("chaos-pool", "connections leak, 100 clients", ("--clients", "100", *NO_GUARD)),
        ("chaos-rollback", "a full rollback", ()),
    ):
        for one in STRATEGIES:
            # a rolling update is over before its pods die, and nobody looks
            more = ("--until-horizon",) if (scenario, one) == ("chaos-leak", "rolling") else ()
            found.append(Case(f"{what}, {one}", scenario, one, "as the file expects", (*words, *more)))
    for name, fault, strategy, outcome in (
        ("the processor of the new pods is taken away", "cpu_stress:workers=32", "canary", "rolled_back"),
        ("the new pods are cut off", "partition:weight=25%", "canary", "rolled_back"),
        ("the network of the new pods is slow", "bandwidth:kbit=32,weight=25%", "canary", "rolled_back"),
        ("packets of the new pods are held for 1 s", "packet_delay:latency=1s,weight=25%", "canary", "rolled_back"),
        ("requests to the new pods wait 2 s", "http_delay:latency=2s", "canary", "rolled_back"),
        ("requests to all pods wait 50 ms", "http_delay:latency=50ms,on=both", "canary", "promoted"),
        ("half of requests to the new pods are aborted", "http_abort:share=50%", "canary", "rolled_back"),
        ("the new pods fail", "pod_failure", "rolling", "rolled_back"),
        ("the switch is followed by errors", "http_abort:share=50%,weight=100%", "blue-green", "rolled_back"),
        ("a fault that starts late", "http_abort:share=50%,weight=50%", "canary", "rolled_back"),
        ("a stable pod is killed", "pod_kill:on=stable,replicas=1,from=8s", "rolling", "promoted"),
        ("a stable pod is killed", "pod_kill:on=stable,replicas=1,from=8s", "blue-green", "promoted"),
    ):
        asked = ("--fault", fault, "--expect", outcome, *(NO_GUARD if fault == "pod_failure" else ()))
        found.append(Case(f"{name}, {strategy}", "chaos-pods", strategy, outcome, asked))
    killed = ("--fault", "pod_kill:on=stable,replicas=1,from=8s")
    for name, variant, words, outcome in (
        ("no fault", "none", (), "promoted"),
        ("a fault below the line", "below", (), "promoted"),
        ("a fault in both revisions", "both", (), "promoted"),
        ("a stable pod is killed", "none", killed, "promoted"),
        ("blind metrics", "blind", (), "rolled_back"),
    ):
        # a pod that is killed has no word in a scenario; a quarter of the stable answers that fail for good is worse
        told = "stable" if words else ""
        found.append(
            Case(f"control: {name}", "chaos-half", "canary", outcome, words, variant, "control", predicted_as=told)
        )
    return found


@dataclass
class Told:
    """What came of one case."""

    case: Case
    records: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    predicted_wrong: str = ""
    predicted: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def right(self) -> int:
        """Drills that ended as they should."""
        return sum(map(self._right, self.records))

    def _right(self, record: Mapping[str, Any]) -> bool:
        if self.case.outcome == "as the file expects":
            return bool(record["exit_code"] == 0)
        return bool(record["outcome"] == self.case.outcome)

    def said(self) -> list[str]:
        """What drills say that did not end as they should, and what was said instead of a drill."""
        wrong = [one for one in self.records if not self._right(one)]
        return [*(f"{one['outcome']}: {one['reasons'][0]}" for one in wrong if one["reasons"]), *self.troubles]

    def times(self, column: str) -> str:
        """Median and worst, in real seconds."""
        found = [
            one["row"][column] / one["timeline"]["speed"] for one in self.records if one["row"].get(column) is not None
        ]
        if not found:
            return "–"
        return f"{statistics.median(found):.2f} / {max(found):.2f}"

    def prediction(self, column: str) -> str:
        """Median and 90th percentile of the simulator, in real seconds of these drills."""
        found = self.predicted.get(column, {})
        speed = self.records[0]["timeline"]["speed"] if self.records else 1.0
        told = [found.get(name) for name in ("p50", "p90")]
        return " / ".join(f"{value / speed:.2f}" for value in told if value is not None) or "–"


def run(case: Case, seed: int) -> dict[str, Any] | str:
    """One drill: its record, or what was said instead of one."""
    done = subprocess.run(
        [*COMMAND, *case.command(seed), "-q", "-o", "json"], capture_output=True, text=True, timeout=1800, check=False
    )
    try:
        (record,) = json.loads(done.stdout)["drills"]
    except (ValueError, KeyError):
        return f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"
    return dict(record)


def predicted_wrong(case: Case) -> str:
    """The share of wrong verdicts that the simulator predicts, with its 95 % bound."""
    variant = case.predicted_as or case.variant
    command = [*COMMAND, "simulate", case.scenario, "--strategy", case.strategy, "--variant", variant]
    done = subprocess.run(
        [*command, "--runs", str(RUNS), "-o", "json"], capture_output=True, text=True, timeout=1800, check=False
    )
    shares = json.loads(done.stdout)["results"][0]["outcomes"][case.outcome]
    as_what = f", as variant {case.predicted_as}" if case.predicted_as else ""
    return f"{1 - shares['share']:.3%}, at most {1 - shares['lo']:.3%}{as_what}"


def predicted(case: Case) -> dict[str, dict[str, float | None]]:
    """Median and 90th percentile of the times that the page shows, in scenario seconds; of a --fault nothing."""
    if "--fault" in case.words:
        return {}
    command = [*COMMAND, "simulate", case.scenario, "--strategy", case.strategy, "--runs", "2000", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    metrics = next(one["metrics"] for one in json.loads(done.stdout)["results"] if one["variant"] is None)
    return {name: {word: metrics[name][word] for word in ("p50", "p90")} for name in TIMES}


def kills(count: int) -> list[str]:
    """Kill the harness at random instants, every second one with faults in pods; what a sweep leaves, for each."""
    node = need()
    found = []
    rng = random.Random(7)
    plain = cases()[2]
    harmed = dataclasses.replace(plain, variant="none", words=("--fault", HARM, "--fault", "cpu_stress:workers=1"))
    for number in range(count):
        case = (plain, harmed)[number % 2]
        before = remains.look(node)
        with tempfile.TemporaryDirectory() as state:
            environment = {**os.environ, "ROLLOUTLAB_STATE": state}
            after = rng.uniform(2, 35)
            _kill(case, number, environment, after)
            begun = len(remains.look(node) - before)
            swept = subprocess.run(
                [*COMMAND, "sweep", "--world", "cluster"], env=environment, capture_output=True, text=True, check=False
            )
            again = subprocess.run(
                [*COMMAND, "sweep", "--world", "cluster", "--plan"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        new = remains.left(node, before)
        clean = swept.returncode == 0 and again.stdout == "nothing to clear\n" and not new
        said = NOTHING_LEFT if clean else "; ".join([f"sweep exit {swept.returncode}", again.stdout.strip(), *new])
        what = f"{case.strategy}{' with faults in its pods' if case is harmed else ''}"
        found.append(f"{what}, after {after:.1f} s, {begun} things there: {said}")
        print(f"kill {number + 1}: {found[-1]}", flush=True)
    return found


def _kill(case: Case, seed: int, environment: Mapping[str, str], after: float) -> None:
    """Start a drill, and kill its harness after so many seconds."""
    with subprocess.Popen(
        [*COMMAND, *case.command(seed), "-q"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        time.sleep(after)
        child.send_signal(signal.SIGKILL)


def page(told: Sequence[Told], killed: Sequence[str], note: str) -> str:
    """The results for a reader."""
    first = next(one for each in told for one in each.records)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        "# What drills in a cluster measured",
        "",
        f"Written by scripts/cluster_drills.py (`make drills-cluster`) on {today}: {first['where']['engine']}.",
        f"{os.cpu_count()} cores ran cluster, traffic and harness. {note}".strip(),
        "Times are real seconds: median / worst of the drills of a row. Detection is from the first bad response",
        "to the decision, rollback from there to the last response of the bad revision, both seen in traffic.",
        "Predicted is what the simulator says of the same file: median / 90th percentile; felt: traffic shows it.",
        "",
        "| drill | ended as | right | detection, s | predicted | rollback, s | predicted | fault by | felt |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in told:
        outcomes = ", ".join(sorted({one["outcome"] for one in each.records})) or "–"
        engines = ", ".join(sorted({fault["engine"] for one in each.records for fault in one["faults"]})) or "–"
        seen = [fault["effect_verified"] for one in each.records for fault in one["faults"]]
        lines.append(
            f"| {each.case.name} | {outcomes} | {each.right()} of {len(each.records)} | "
            f"{each.times(DETECTION)} | {each.prediction(DETECTION)} | {each.times(ROLLBACK)} | "
            f"{each.prediction(ROLLBACK)} | {engines} | "
            f"{f'{sum(map(bool, seen))} of {len(seen)}' if seen else '–'} |"
        )
    wrong = [f"- {each.case.name}: {each.predicted_wrong}" for each in told if each.predicted_wrong]
    if wrong:
        lines += [
            "",
            f"Predicted share of wrong verdicts of the controls ({RUNS:,} replications, 95 % bound):",
            "",
            *wrong,
        ]
    if killed:
        clean = sum(one.endswith(NOTHING_LEFT) for one in killed)
        lines += [
            "",
            f"Harness killed at random instants, then swept: {clean} of {len(killed)} left nothing (no object,",
        ]
        lines += [
            "process, network namespace or cgroup that was not there before).",
            "",
            *(f"- {one}" for one in killed),
        ]
    trouble = [f"- {each.case.name}: {text}" for each in told for text in each.said()]
    if trouble:
        lines += [
            "",
            "Not as it should be, or not measured ([limits](../limits.md) has what is known of it):",
            "",
            *trouble,
        ]
    commands = [f"{each.case.name}: `rolloutlab {shlex.join(each.case.command(0))}`" for each in told]
    lines += ["", "## The commands", "", *(f"- {one}" for one in commands), ""]
    return "\n".join(lines)


def kept() -> tuple[list[Told], list[str]]:
    """Everything that was measured so far, by case, and what became of killed harnesses."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    told = []
    for case in cases():
        mine = [line for line in lines if line.get("case") == case.name]
        if mine:
            records = [line["record"] for line in mine if "record" in line]
            troubles = [line["trouble"] for line in mine if "trouble" in line]
            wrong = next((line["predicted_wrong"] for line in reversed(mine) if "predicted_wrong" in line), "")
            told.append(Told(case, records, troubles, wrong))
            for line in mine:
                told[-1].predicted |= line.get("predicted", {})
    return told, [line["kill"] for line in lines if "kill" in line]


def keep(**what: Any) -> None:
    """Write one line of what was measured."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as stream:
        stream.write(json.dumps(what) + "\n")


def main() -> None:
    """Run, print as it goes, write the page of all that was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--repeats", type=int, default=3, help="of the main drills")
    parser.add_argument("--controls", type=int, default=10, help="drills of each control")
    parser.add_argument("--first-seed", type=int, default=0, help="of the drills of a case, which count up")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--note", default="", help="one sentence for the page, as of the machine")
    parser.add_argument("--more", action="store_true", help="keep what earlier runs measured")
    asked = parser.parse_args()
    counts = {"main": asked.repeats, "control": asked.controls, "drill": 1}
    if not asked.more:
        RESULTS.unlink(missing_ok=True)
    for case in cases():
        if asked.only not in case.name:
            continue
        if case.kind == "control" and counts["control"]:
            keep(case=case.name, predicted_wrong=predicted_wrong(case))
        elif counts[case.kind]:
            keep(case=case.name, predicted=predicted(case))
        for seed in range(asked.first_seed, asked.first_seed + counts[case.kind]):
            record = run(case, seed)
            if isinstance(record, str):
                keep(case=case.name, trouble=record)
                print(f"{case.name}: {record}", flush=True)
                continue
            keep(case=case.name, record=record)
            reason = record["reasons"][0] if record["reasons"] else ""
            print(f"{case.name}: exit {record['exit_code']}, {record['outcome']}; {reason}", flush=True)
    if not asked.only:
        for killed in kills(asked.kills):
            keep(kill=killed)
    told, killed_harnesses = kept()
    if any(each.records for each in told):
        PAGE.write_text(page(told, killed_harnesses, asked.note))
        print(f"wrote {PAGE}")
    wrong = [each.case.name for each in told if asked.only in each.case.name and each.right() < len(each.records)]
    if wrong:
        print(f"not as they should be: {', '.join(wrong)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
