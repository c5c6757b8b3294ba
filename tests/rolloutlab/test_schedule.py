"""`rolloutlab schedule`: what it prints, what goes along with a scenario, and what is refused.

tests/cluster/test_schedule.py holds it against a real API server, and runs such a Job.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # comes with the Kubernetes client
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaos.cluster.rights import needed, rules
from rolloutlab.cli import main
from rolloutlab.scheduling import text, times
from rolloutlab.scheduling.bundle import MOST_BYTES, Bundle, bundle
from rolloutlab.scheduling.manifests import LONGEST_NAME, name_of
from scenarios import ScenarioError, load_scenario
from scenarios.library import find, names

WHEN = ("--cron", "0 10 * * 2", "--timezone", "Europe/Berlin")
ASKED = ("schedule", "errors-5pct", "--strategy", "canary", *WHEN)
ROUTED = ("--gateway", "rolloutlab-system/rolloutlab", "--address", "10.80.0.1:8000")
HEAD = "apiVersion: rolloutlab/v1\n"
ROLLING = "strategies: {a: {rollingUpdate: {}}}\n"
MANIFESTS = Path(__file__).parents[2] / "scenarios" / "manifests"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="rolloutlab")


def refused(*words: str) -> str:
    done = invoke(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert all(line.startswith("error: ") for line in lines)
    return "\n".join(lines)


def objects(*more: str) -> dict[str, Any]:
    """The objects by kind, the two CronJobs by what they run."""
    done = invoke(*ASKED, "-o", "json", *more)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = {}
    for each in json.loads(done.stdout)["items"]:
        name = each["metadata"]["name"].rpartition("-")[2] if each["kind"] == "CronJob" else each["kind"]
        assert name not in found
        found[name] = each
    return found


def arguments(job: Mapping[str, Any]) -> list[str]:
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return [str(word) for word in container["args"]]


# --- what is printed ---------------------------------------------------------------------------------------------


def test_the_documents_as_they_are_printed(golden: Callable[[str, str], None]) -> None:
    done = invoke(*ASKED, *ROUTED, "--set", "service.replicas=4")
    assert done.exit_code == 0
    assert done.stderr == ""
    golden("schedule.yaml", done.stdout)
    assert invoke(*ASKED, *ROUTED, "--set", "service.replicas=4").stdout == done.stdout


def test_yaml_and_json_say_the_same() -> None:
    written = [dict(each) for each in YAML(typ="safe").load_all(invoke(*ASKED, *ROUTED).stdout)]
    assert written == json.loads(invoke(*ASKED, *ROUTED, "-o", "json").stdout)["items"]


def test_a_drill_never_runs_twice_at_once_nor_late_nor_for_ever() -> None:
    for name in ("drill", "sweep"):
        spec = objects()[name]["spec"]
        job = spec["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert 10 <= spec["startingDeadlineSeconds"] <= 600, "the controller looks every ten seconds"
        assert job["backoffLimit"] == 0
        assert pod["restartPolicy"] == "Never"
        assert job["activeDeadlineSeconds"] > 0
    drill = objects("--deadline", "1h")["drill"]["spec"]
    assert drill["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    assert (drill["schedule"], drill["timeZone"]) == ("0 10 * * 2", "Europe/Berlin")


def test_there_is_time_to_clear_up_after_sigterm() -> None:
    from chaos.cluster import sweeping
    from chaos.guards import Limits
    from rolloutlab.scheduling.manifests import GRACE_SECONDS, Timetable

    assert GRACE_SECONDS >= 2 * sweeping._PATIENCE_SECONDS
    wall = Limits().wall_seconds
    assert wall is not None
    assert Timetable.__dataclass_fields__["deadline_seconds"].default >= wall + GRACE_SECONDS, (
        "the drill ends itself first"
    )


def test_the_account_may_do_what_a_drill_needs_and_no_more() -> None:
    found = objects()
    assert found["Role"]["rules"] == rules(needed(["gateway", "chaos-mesh"]))
    (subject,) = found["RoleBinding"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "errors-5pct-canary", "namespace": "rolloutlab-drills"}
    assert found["RoleBinding"]["roleRef"]["kind"] == "Role"
    assert not {"ClusterRole", "ClusterRoleBinding"} & found.keys()
    spaces = {each["metadata"]["namespace"] for each in found.values()}
    assert spaces == {"rolloutlab-drills"}


def test_pods_are_as_the_restricted_profile_wants_them() -> None:
    for name in ("drill", "sweep"):
        pod = objects()[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_what_the_job_runs_is_what_was_asked_for_and_is_understood() -> None:
    found = objects(*ROUTED, "--set", "service.replicas=4", "--image", "shop:2", "--namespace", "shop-drills",
                    "--fault", "pod_kill:on=stable", "--expect", "promoted", "--engine", "chaos-mesh")  # fmt: skip
    words = arguments(found["drill"])
    assert words[:2] == ["drill", "/scenario/errors-5pct.yaml"]
    for option, value in (
        ("--strategy", "canary"), ("--world", "cluster"), ("--namespace", "shop-drills"), ("--routing", "gateway"),
        ("--gateway", "rolloutlab-system/rolloutlab"), ("--address", "10.80.0.1:8000"), ("--image", "shop:2"),
        ("--set", "service.replicas=4"), ("--fault", "pod_kill:on=stable"), ("--expect", "promoted"), ("--engine", "chaos-mesh"), ("-o", "json"),
    ):  # fmt: skip
        assert words[words.index(option) + 1] == value
    assert "--strict" not in words
    assert "--strict" in arguments(objects("--strict")["drill"])
    for job in ("drill", "sweep"):  # the commands of today understand their words; nothing is run
        verb, *rest = arguments(found[job])
        command = main.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        command.make_context(verb, [word.replace("/scenario/", "") for word in rest])


def test_without_a_gateway_weights_go_by_pods_and_that_is_said() -> None:
    done = invoke(*ASKED)
    assert done.stderr == "warning: no --gateway and --address: weights go by the number of pods (--routing service)\n"
    words = arguments(objects()["drill"])
    assert words[words.index("--routing") + 1] == "service"
    assert invoke(*ASKED, "--routing", "service").stderr == "", "it was meant"


def test_the_namespace_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLOUTLAB_NAMESPACE", "mine")
    assert {each["metadata"]["namespace"] for each in objects().values()} == {"mine"}


@pytest.mark.parametrize(
    ("scenario", "strategy", "name"),
    [
        ("errors-5pct", "canary", "errors-5pct-canary"),
        ("Über_Größe", "__", "ber-gr-e"),
        ("…", "…", "drill"),
        ("a" * 60, "b", "a" * LONGEST_NAME),
        ("a" * (LONGEST_NAME - 1), "b", "a" * (LONGEST_NAME - 1)),
    ],
)
def test_names_that_kubernetes_takes(scenario: str, strategy: str, name: str) -> None:
    assert name_of(scenario, strategy) == name
    assert len(f"{name}-sweep") <= 52, "of a CronJob"


TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])),
    st.text(alphabet="\n\t #:-|>'\"ab0.e/", max_size=12),
    st.sampled_from(
        [
            "y",
            "No",
            "on",
            "~",
            "null",
            "0777",
            "0o7",
            "1_000",
            "1:30",
            "1e3",
            ".5",
            ".inf",
            "=",
            "<<",
            "2026-11-29",
            "-",
            "?",
            "@a",
        ]
    ),
)


@given(TEXTS)
def test_any_text_survives_as_a_document_of_both_versions_of_yaml(content: str) -> None:
    wanted = [{"data": {"file": content, content: ["a", content]}}, {"kind": "B"}]
    written = text.documents(wanted, head="one\n\ntwo")
    assert list(YAML(typ="safe").load_all(written)) == wanted
    assert list(yaml.safe_load_all(written)) == wanted, "YAML 1.1, as kubectl reads it"


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--strategy", "canry"), "unknown strategy 'canry'; did you mean 'canary'? known: blue-green, canary, rolling"),
        (("--cron", "0 10 * *"), "--cron: expected five fields (minute, hour, day of month, month, day of week), as"),
        (("--cron", "@dayly"), "--cron: unknown word '@dayly'; did you mean '@daily'?"),
        (("--cron", "CRON_TZ=UTC 0 10 * * 2"), "--cron: expected no time zone here: Kubernetes refuses it; give --timezone"),
        (("--cron", "0 10 * * $(x)"), "--cron: expected 0, 1-5, */15, * or the like as day of week, got '$(x)'"),
        (("--timezone", "Europe/Berln"), "--timezone: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        (("--timezone", "Local"), "--timezone: unknown time zone 'Local'"),
        (("--name", "Drill_1"), "--name: expected at most 46 of a-z, 0-9 and -"),
        (("--name", "a" * 47), "--name: expected at most 46"),
        (("--deadline", "1m"), "--deadline: expected 5m to 6h, got '1m'"),
        (("--deadline", "soon"), "--deadline: expected a duration"),
        (("--namespace", "A"), "--namespace: expected a name as of Kubernetes"),
        (("--gateway", "a/b"), "--gateway: expected both --gateway NAMESPACE/NAME and --address IP:PORT"),
        (("--routing", "gateway"), "--gateway: expected both --gateway NAMESPACE/NAME and --address IP:PORT"),
        (("--variant", "x"), "variant: unknown name 'x'"),
        (("--set", "service.replcas=3"), "service.replcas: unknown field 'replcas'; did you mean 'replicas'?"),
        (("--metrics-url", "ftp://x"), "--metrics-url: expected the URL of a Prometheus"),
        (("--bind", "x"), "--bind: expected name=measure"),
        (("--fault", "pod_kil"), "--fault: unknown name 'pod_kil'; did you mean 'pod_kill'?"),
        (("--engine", "native"), "native"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_that_names_it(more: tuple[str, ...], said: str) -> None:
    assert said in refused(*ASKED, *more)


def test_an_unknown_scenario_is_an_error_that_names_the_nearest() -> None:
    assert "did you mean 'errors-5pct'?" in refused("schedule", "errors-5pc", "--strategy", "canary", *WHEN)


# --- when --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cron", ["0 10 * * 2", "*/5 1-3,5 ? JAN-MAR MON", "@daily", "  0  10 * *   2 "])
def test_times_that_can_be(cron: str) -> None:
    assert times.checked_cron(cron) == " ".join(cron.split())


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+2"])
def test_zones_that_can_be(zone: str) -> None:
    assert times.checked_zone(zone) == zone


@pytest.mark.parametrize("zone", ["localtime", "", "europe/berlin", "../../etc/passwd", "Europe"])
def test_zones_that_cannot(zone: str) -> None:
    with pytest.raises(ScenarioError, match="unknown time zone"):
        times.checked_zone(zone)


# --- what goes along ---------------------------------------------------------------------------------------------


def unpacked(found: Bundle, folder: Path) -> Path:
    for name, content in found.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    return folder / found.scenario


@pytest.mark.parametrize("name", names())
def test_shipped_scenarios_are_the_same_where_they_are_unpacked(name: str, tmp_path: Path) -> None:
    found = bundle(find(name), {})
    here, there = load_scenario(find(name)), load_scenario(unpacked(found, tmp_path))
    assert there.digest == here.digest
    assert there.scenario == here.scenario.model_copy(update={"traffic": there.scenario.traffic})
    assert len(set(found.keys().values())) == len(found.files)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "day 1.csv").write_text("timestamp,requests\n0,10\n60,20\n")
    return tmp_path


def test_traces_manifests_and_variants_go_along_with_their_relative_names(folder: Path) -> None:
    for name in ("checkout-rollout.yaml", "checkout-analysis.yaml"):
        (folder / name).write_bytes((MANIFESTS / name).read_bytes())
    scenario = folder / "deep" / "er" / "s.yaml"
    scenario.write_text(
        HEAD + "traffic: {kind: trace, file: '../../traces/day 1.csv'}\n"
        "strategies:\n  mine: {from: ../../checkout-rollout.yaml, templates: [../../checkout-analysis.yaml]}\n"
        "variants: {night: {traffic: {kind: trace, file: ../../traces/night.csv}}}\n"
    )
    (folder / "traces" / "night.csv").write_text("timestamp,requests\n0,1\n60,2\n")
    found = bundle(scenario, {})
    assert found.scenario == "deep/er/s.yaml"
    assert set(found.files) == {
        "deep/er/s.yaml", "traces/day 1.csv", "traces/night.csv", "checkout-rollout.yaml", "checkout-analysis.yaml",
    }  # fmt: skip
    assert found.keys()["traces/day 1.csv"] == "traces_day_1.csv"


@pytest.mark.parametrize(
    ("written", "overrides", "said"),
    [
        ("traffic: {kind: trace, file: /FOLDER/traces/day 1.csv}\n" + ROLLING, {}, "traffic.file: expected a name relative to the file, which holds in a cluster too, got /"),
        (ROLLING, {"traffic": "{kind: trace, file: 'traces/day 1.csv'}"}, "--set traffic.file: expected no file here"),
        ("strategies: {a: {python: 'mine:go'}}\n", {}, "s.yaml:2:26 strategies.a.python: code of yours is not in the image"),
        (ROLLING + "# " + MOST_BYTES * "x" + "\n", {}, "s.yaml: expected a file of at most 878 KiB, got more"),
        ("traffic: {kind: trace, file: half.csv}\n" + ROLLING + "# " + MOST_BYTES // 2 * "x" + "\n", {}, "s.yaml: expected at most 900,000 bytes with all that it refers to, got 900,"),
    ],
)  # fmt: skip
def test_what_cannot_go_along_is_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, overrides: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "half.csv").write_text("timestamp,requests,note\n0,1,x\n60,2," + MOST_BYTES // 2 * "x" + "\n")
    (folder / "s.yaml").write_text(HEAD + written.replace("/FOLDER", str(folder)))
    with pytest.raises(ScenarioError) as caught:
        bundle(Path("s.yaml"), overrides)
    assert said in str(caught.value)


def test_a_trace_that_is_no_text_is_refused_by_name(folder: Path) -> None:
    (folder / "t.csv").write_bytes(b"timestamp,requests\n0,1\n60,2\n\xff")
    (folder / "s.yaml").write_text(HEAD + ROLLING + "traffic: {kind: trace, file: t.csv}\n")
    with pytest.raises(ScenarioError, match="traffic.file: expected UTF-8 text"):
        bundle(folder / "s.yaml", {})


def test_the_files_are_where_the_job_looks_for_them(folder: Path) -> None:
    scenario = folder / "deep" / "s.yaml"
    scenario.write_text(HEAD + ROLLING + "traffic: {kind: trace, file: '../traces/day 1.csv'}\n")
    done = invoke("schedule", str(scenario), "--strategy", "a", *WHEN, "-o", "json", "--routing", "service")
    found = {each["kind"] + each["metadata"]["name"][-5:]: each for each in json.loads(done.stdout)["items"]}
    pod = found["CronJobdrill"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (volume,) = [each["configMap"] for each in pod["volumes"] if "configMap" in each]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "scenario"]
    data = next(each for each in found.values() if each["kind"] == "ConfigMap")["data"]
    there = {f"{mount['mountPath']}/{item['path']}": data[item["key"]] for item in volume["items"]}
    assert there[arguments(found["CronJobdrill"])[1]] == scenario.read_text()
    assert there["/scenario/traces/day 1.csv"] == (folder / "traces" / "day 1.csv").read_text()
    assert len(there) == len(data)
