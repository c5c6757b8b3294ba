"""Try a fault on a pod of the native node: `sudo python -m chaos.injectors.native KIND POD [NAME=VALUE …]`.

It stays until Ctrl-C, SIGTERM or the end of its time, and is taken back then. `… sweep` takes back what dead ones left.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from typing import Any, Final

from chaos.cluster.kinds import POD
from chaos.cluster.kube import Kube
from chaos.cluster.native.injection import RefusedError
from chaos.cluster.native.node import NodeError, need
from chaos.cluster.pod import Pod, pod_of
from chaos.faults.node import NODE_FAULTS, NodeFault
from chaos.injectors.native import AgentLink, NativeInjector, NativeNode, sweep
from chaos.injectors.native.injector import Settings
from chaos.world import WorldError

_PAUSE: Final = "rolloutlab.local/pause:1"
_BAD_INPUT, _NOT_HAD, _LEFT = 2, 3, 4  #: exit codes


def main(arguments: list[str]) -> int:
    """Run the command; its exit code: 2 for wrong words, 3 when the fault cannot be had, 4 when something is left."""
    told = _parser().parse_args(arguments)
    try:
        fault = None if told.kind == "sweep" else NodeFault(kind=told.kind, on="both", **_parameters(told.parameters))
        node = need()
        node.enter_network()
        kube = Kube(str(node.kubeconfig))
        if fault is None:
            return asyncio.run(_sweep(NativeNode(node), kube, told))
        return asyncio.run(_hold(fault, NativeNode(node), kube, told))
    except (ValueError, RefusedError) as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_INPUT
    except (NodeError, WorldError) as error:
        sys.stderr.write(f"{error}\n")
        return _NOT_HAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos.injectors.native", description=__doc__)
    parser.add_argument(
        "kind", choices=(*NODE_FAULTS, "sweep"), metavar="KIND", help=", ".join((*NODE_FAULTS, "sweep"))
    )
    parser.add_argument("pod", nargs="?", metavar="POD")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="such as latency_seconds=0.2")
    parser.add_argument("--namespace", default="rolloutlab-drills")
    parser.add_argument("--owner", default=None, help="whose faults they are; sweep: of all dead ones, if not given")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which it ends (default: 60)")
    return parser


def _parameters(words: list[str]) -> dict[str, Any]:
    names = sorted({field.name for field in dataclasses.fields(NodeFault)} - {"kind", "on"})
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in names or not value:
            raise ValueError(f"{word!r} is no NAME=VALUE; names: {', '.join(names)}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = tuple(value.split(","))  # paths
    return found


async def _hold(fault: NodeFault, node: NativeNode, kube: Kube, told: argparse.Namespace) -> int:
    def targets() -> list[Pod]:
        found = kube.get(POD, told.pod, told.namespace) if told.pod else None
        if found is None:
            raise WorldError(f"there is no pod {told.pod} in the namespace {told.namespace}")
        return [pod_of(found)]

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    link = AgentLink(node)
    settings = Settings(owner=told.owner or f"try-{os.getpid()}", pause_image=_PAUSE, longest_seconds=told.seconds)
    injector = NativeInjector(fault, settings, targets=targets, link=link, kube=kube)
    try:
        await injector.inject()
        await injector.await_injected()
        sys.stdout.write(f"{fault} in {told.pod}, owner {settings.owner}; Ctrl-C ends it\n")
        sys.stdout.flush()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), told.seconds)
    finally:
        await injector.recover()
        left = await injector.await_recovered()
        await link.close()
    if left:
        sys.stderr.write(f"left in {', '.join(left)}\n")
    return _LEFT if left else 0


async def _sweep(node: NativeNode, kube: Kube, told: argparse.Namespace) -> int:
    done, left = await sweep(node, kube, told.namespace, told.owner)
    sys.stdout.writelines(f"taken back: {each}\n" for each in done or ["nothing"])
    sys.stderr.writelines(f"left: {each}\n" for each in left)
    return _LEFT if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
