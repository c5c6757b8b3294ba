"""The small programs of hack/node, without a node: images, the part of a lock, targets of Prometheus."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import tarfile
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SCRIPTS = Path(__file__).parents[2] / "hack" / "node"
LOCK = SCRIPTS.parents[1] / "requirements" / "lock-cluster.txt"


def module(name: str) -> ModuleType:
    """One of the programs, as a module."""
    spec = importlib.util.spec_from_file_location(f"hack_node_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def layer(folder: Path, content: bytes) -> Path:
    path = folder / "layer.tar"
    folder.mkdir()
    path.write_bytes(content)
    path.with_name("layer.tar.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  layer.tar\n")
    return path


def test_an_image_is_an_oci_layout_whose_digests_are_true(tmp_path: Path) -> None:
    base, top = layer(tmp_path / "base", b"base" * 5000), layer(tmp_path / "top", b"top")
    config = tmp_path / "config.json"
    config.write_text('{"Entrypoint": ["true"]}')
    arguments: list[str | Path] = ["a:1", config, base, "--", "b:1", config, base, top]
    with (tmp_path / "out.tar").open("wb") as out:
        subprocess.run([sys.executable, SCRIPTS / "image.py", *arguments], stdout=out, check=True)

    with tarfile.open(tmp_path / "out.tar") as tar:
        names = tar.getnames()
        files = {name: file.read() for name in names if (file := tar.extractfile(name)) is not None}
    assert len(names) == len(set(names)), "what images share is written once"
    for name, content in files.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(content).hexdigest() == Path(name).name

    def blob(reference: dict[str, Any]) -> bytes:
        content = files[f"blobs/sha256/{reference['digest'].removeprefix('sha256:')}"]
        assert len(content) == reference["size"]
        return content

    index = json.loads(files["index.json"])
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    found = {each["annotations"]["io.containerd.image.name"]: json.loads(blob(each)) for each in index["manifests"]}
    assert found.keys() == {"a:1", "b:1"}
    assert [blob(each) for each in found["b:1"]["layers"]] == [base.read_bytes(), top.read_bytes()]
    image = json.loads(blob(found["b:1"]["config"]))
    assert image["config"] == {"Entrypoint": ["true"]}
    assert image["rootfs"]["diff_ids"] == [each["digest"] for each in found["b:1"]["layers"]]


def test_a_layer_that_the_reader_has_is_named_and_not_written(tmp_path: Path) -> None:
    base, top = layer(tmp_path / "base", b"base"), layer(tmp_path / "top", b"top")
    config = tmp_path / "config.json"
    config.write_text("{}")
    whole: list[str | Path] = ["a:1", config, base, top]
    thin: list[str | Path] = ["a:1", config, base.with_name("layer.tar.sha256"), top]
    written = []
    for arguments in (whole, thin):
        with (tmp_path / "out.tar").open("wb") as out:
            subprocess.run([sys.executable, SCRIPTS / "image.py", *arguments], stdout=out, check=True)
        with tarfile.open(tmp_path / "out.tar") as tar:
            written.append({name: tar.extractfile(name).read() for name in tar.getnames()})  # type: ignore[union-attr]
    left_out = written[0].keys() - written[1].keys()
    assert left_out == {f"blobs/sha256/{hashlib.sha256(b'base').hexdigest()}"}
    assert written[0].items() >= written[1].items(), "it is the same image"


def test_the_part_of_a_lock_is_closed(tmp_path: Path) -> None:
    """a -> b -> c and d -> c; the oracle for the true lock is what the installed packages say they need."""
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# made by hand\n"
        "a==1 \\\n    --hash=sha256:0\n    # via -r x.in\n"
        "b[extra]==2 ; python_version > '3' \\\n    --hash=sha256:1\n    # via a\n"
        "c==3 \\\n    --hash=sha256:2\n    # via\n    #   b\n    #   d\n"
        "d==4 \\\n    --hash=sha256:3\n    # via -r x.in\n"
    )
    said = subprocess.run(
        [sys.executable, SCRIPTS / "closure.py", lock, "a"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("==")[0] for line in said.splitlines() if "==" in line] == ["a", "b[extra]", "c"]
    assert "sha256:3" not in said


def test_the_application_finds_everything_in_its_part_of_the_lock() -> None:
    """Of a package that this environment has, every requirement is in the part, too."""
    closure = module("closure")
    part = closure.needed(closure.blocks(LOCK.read_text()), {"aiohttp", "prometheus-client"})
    for name in part:
        needs = [Requirement(text) for text in requires(name) or ()]
        wanted = {
            canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
        }
        assert wanted <= part, name
    assert not part & {"numpy", "kubernetes"}


def test_an_unknown_package_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "closure.py", LOCK, "aiohttpx"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "the lock has no package aiohttpx\n"


def pod(name: str, ip: str | None, phase: str = "Running", **notes: str) -> dict[str, Any]:
    annotations = {f"prometheus.io/{key}": value for key, value in notes.items()}
    status = {"phase": phase} if ip is None else {"phase": phase, "podIP": ip}
    return {"metadata": {"name": name, "namespace": "n", "annotations": annotations}, "status": status}


@pytest.mark.parametrize(
    "ignored",
    [
        pod("quiet", "10.0.0.1"),
        pod("no", "10.0.0.1", scrape="false"),
        pod("ended", "10.0.0.1", "Succeeded", scrape="true"),
        pod("new", None, "Pending", scrape="true"),
        {"metadata": {"name": "bare", "namespace": "n"}},
    ],
    ids=lambda pod: pod["metadata"]["name"],
)
def test_only_running_pods_that_want_it_are_scraped(ignored: dict[str, Any]) -> None:
    found = module("targets").targets([pod("b", "10.0.0.3", scrape="true", port="9", path="/m"), ignored])
    labels = {"namespace": "n", "pod": "b", "__metrics_path__": "/m"}
    assert found == [{"targets": ["10.0.0.3:9"], "labels": labels}]


def test_targets_do_not_depend_on_the_order_of_the_list() -> None:
    pods = [pod("a", "10.0.0.2", scrape="true"), pod("b", "10.0.0.1", scrape="true")]
    targets = module("targets").targets
    assert targets(pods) == targets(pods[::-1])
    assert [each["targets"] for each in targets(pods)] == [["10.0.0.1:8080"], ["10.0.0.2:8080"]]
