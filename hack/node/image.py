"""Write container images as one OCI tar on stdout, without a registry or a container engine.

usage: image.py NAME CONFIG.json LAYER.tar... [-- NAME CONFIG.json LAYER.tar...]...

A layer that several images share is written once. Beside each LAYER.tar stands its SHA-256 as LAYER.tar.sha256, so
that a layer is read once, on its way out. Where that file is named instead, the layer is left out: for a reader that
has it. CONFIG.json is the `config` of the image specification (Entrypoint, Env, …).
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import platform
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

TYPE = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Writer:
    """An OCI layout in a tar: blobs by digest, then the index."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._written: set[str] = set()

    def image(self, name: str, config: Path, layers: list[Path]) -> dict[str, object]:
        """Write one image; returns its line of the index."""
        written = [self._layer(path) for path in layers]
        image = {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": json.loads(config.read_text()),
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in written]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{TYPE}.manifest.v1+json",
            "config": self._json("config.v1+json", image),
            "layers": written,
        }
        return self._json("manifest.v1+json", manifest) | {"annotations": {"io.containerd.image.name": name}}

    def index(self, images: list[dict[str, object]]) -> None:
        """Write the index, which names the images."""
        for name, value in (
            ("index.json", {"schemaVersion": 2, "manifests": images}),
            ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        ):
            data = json.dumps(value).encode()
            self._file(name, io.BytesIO(data), len(data))

    def _json(self, kind: str, value: object) -> dict[str, object]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        self._file(f"blobs/sha256/{digest}", io.BytesIO(data), len(data))
        return {"mediaType": f"{TYPE}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    def _layer(self, path: Path) -> dict[str, object]:
        layer = path.with_suffix("") if path.suffix == ".sha256" else path
        digest, size = layer.with_name(layer.name + ".sha256").read_text().split()[0], layer.stat().st_size
        if layer == path:
            with path.open("rb") as data:
                self._file(f"blobs/sha256/{digest}", data, size)
        return {"mediaType": f"{TYPE}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}

    def _file(self, name: str, data: BinaryIO, size: int) -> None:
        if name not in self._written:
            self._written.add(name)
            entry = tarfile.TarInfo(name)
            entry.size = size
            self._tar.addfile(entry, data)


def main(arguments: list[str]) -> None:
    """Write the images."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        writer = Writer(tar)
        images = []
        for separator, group in itertools.groupby(arguments, lambda argument: argument == "--"):
            if not separator:
                name, config, *layers = group
                images.append(writer.image(name, Path(config), [Path(path) for path in layers]))
        writer.index(images)


if __name__ == "__main__":
    main(sys.argv[1:])
