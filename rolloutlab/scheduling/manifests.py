"""The objects of a schedule: who runs drills, what that account may do, the scenario, and two CronJobs.

One runs the drill; the other clears what a drill left whose Job was killed outright.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaos.cluster.kinds import CONFIG_MAP, CRON_JOB, SERVICE_ACCOUNT
from chaos.cluster.pod import PREFIX
from chaos.cluster.rights import binding, needed, role
from rolloutlab.scheduling.bundle import Bundle

Object = dict[str, Any]
SCHEDULE: Final = PREFIX + "schedule"  #: label of all its objects
RUNNER_IMAGE: Final = "rolloutlab.local/runner:1"
LONGEST_NAME: Final = 46  #: a CronJob's is 52 letters at most, and ours have a suffix
FOLDER: Final = "/scenario"
#: between SIGTERM and SIGKILL: the rollout is taken back and everything swept in this time
GRACE_SECONDS: Final = 180
SWEEP_CRON: Final = "*/10 * * * *"
_SWEEP_SECONDS: Final = 300
#: a drill that could not begin by then is left out: what happens is to happen at the time that was said
_STARTING_SECONDS: Final = 300
_KEPT_SECONDS: Final = 7 * 24 * 3600
_KEPT_JOBS: Final = 5
_USER: Final = 65534


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """What is run when.

    Attributes:
        drill: arguments of `rolloutlab drill` behind the scenario.
        image: with rolloutlab in it.
        deadline_seconds: after which Kubernetes ends a drill.
    """

    name: str
    namespace: str
    cron: str
    zone: str
    drill: Sequence[str]
    bundle: Bundle
    image: str = RUNNER_IMAGE
    deadline_seconds: int = 2400


def objects(wanted: Timetable) -> list[Object]:
    """All of them, in the order in which they are applied."""
    name, space = wanted.name, wanted.namespace
    rights = needed(
        ["gateway", "chaos-mesh"]
    )  # a sweep looks for all that a drill may have left, whatever this one uses
    labels = {"labels": _labels(name)}
    return [
        {
            "apiVersion": SERVICE_ACCOUNT.api_version,
            "kind": SERVICE_ACCOUNT.kind,
            "metadata": _meta(wanted),
            "automountServiceAccountToken": False,
        },
        role(name, space, rights, **labels),
        binding(name, space, f"system:serviceaccount:{space}:{name}", **labels),
        {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": _meta(wanted),
            "data": {key: wanted.bundle.files[path] for path, key in wanted.bundle.keys().items()},
        },
        _cron_job(
            wanted,
            "drill",
            cron=wanted.cron,
            words=["drill", f"{FOLDER}/{wanted.bundle.scenario}", *wanted.drill],
            deadline_seconds=wanted.deadline_seconds,
        ),
        _cron_job(
            wanted,
            "sweep",
            cron=SWEEP_CRON,
            words=["sweep", "--world", "cluster", "--namespace", space, "-o", "json"],
            deadline_seconds=_SWEEP_SECONDS,
        ),
    ]


def name_of(scenario: str, strategy: str) -> str:
    """A name that says what is run, as Kubernetes takes it.

    >>> name_of("errors-5pct", "Blue Green")
    'errors-5pct-blue-green'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", f"{scenario}-{strategy}".lower()).strip("-")
    return plain[:LONGEST_NAME].rstrip("-") or "drill"


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "rolloutlab", SCHEDULE: name}


def _meta(wanted: Timetable, suffix: str = "") -> Object:
    return {"name": f"{wanted.name}{suffix}", "namespace": wanted.namespace, "labels": _labels(wanted.name)}


def _cron_job(wanted: Timetable, what: str, *, cron: str, words: Sequence[str], deadline_seconds: int) -> Object:
    return {
        "apiVersion": CRON_JOB.api_version,
        "kind": CRON_JOB.kind,
        "metadata": _meta(wanted, f"-{what}"),
        "spec": {
            "schedule": cron,
            "timeZone": wanted.zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _STARTING_SECONDS,
            "successfulJobsHistoryLimit": _KEPT_JOBS if what == "drill" else 1,
            "failedJobsHistoryLimit": _KEPT_JOBS,
            "jobTemplate": {
                "metadata": {"labels": _labels(wanted.name)},
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": deadline_seconds,
                    "ttlSecondsAfterFinished": _KEPT_SECONDS,
                    "template": _pod(wanted, what, words),
                },
            },
        },
    }


def _pod(wanted: Timetable, what: str, words: Sequence[str]) -> Object:
    mounts = [{"name": "state", "mountPath": "/tmp"}]
    volumes: list[Object] = [{"name": "state", "emptyDir": {"sizeLimit": "256Mi"}}]
    if what == "drill":
        items = [{"key": key, "path": path} for path, key in wanted.bundle.keys().items()]
        mounts.append({"name": "scenario", "mountPath": FOLDER})
        volumes.append({"name": "scenario", "configMap": {"name": wanted.name, "items": items}})
    return {
        "metadata": {
            "labels": _labels(wanted.name),
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        },
        "spec": {
            "serviceAccountName": wanted.name,
            "automountServiceAccountToken": True,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "enableServiceLinks": False,
            "containers": [
                {
                    "name": what,
                    "image": wanted.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "rolloutlab"],
                    "args": list(words),
                    "env": [{"name": "HOME", "value": "/tmp"}],
                    "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    "volumeMounts": mounts,
                }
            ],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": volumes,
        },
    }
