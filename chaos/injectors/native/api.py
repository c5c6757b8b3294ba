"""Faults that the API server makes for us: a pod is deleted, or runs an image that only sleeps.

A failed pod bears what it was before as an annotation, and a label by which a sweep finds it, both set in the same
patch as the image.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

from chaos.cluster.kinds import POD
from chaos.cluster.kube import ApiError, Kube, Object
from chaos.cluster.pod import PREFIX, Pod, pod_of
from chaos.injectors.native.link import GoneError
from chaos.timeline import Moment

FAILED_BY: Final = PREFIX + "failed-by"  #: label of pods whose image we replaced: the drill
IMAGES: Final = PREFIX + "images"  #: annotation: the images that they had, by container
_LOOK_SECONDS: Final = 0.1
_NOT_THIS_POD: Final = (404, 409)  #: there is none of this name, or it has another uid
_STOP_SECONDS: Final = 40.0  #: a container may take its grace until it is stopped


async def kill(kube: Kube, pod: Pod) -> Moment:
    """Delete a pod with no grace; GoneError when it is gone."""
    asked = time.monotonic()
    if not await asyncio.to_thread(kube.delete, POD, pod.name, pod.namespace, grace_seconds=0):
        raise GoneError(f"pod {pod.name} is gone")
    return Moment(asked, time.monotonic())


async def fail(kube: Kube, pod: Pod, image: str, owner: str) -> Moment:
    """Replace the images of a pod, and wait until its container has stopped.

    Raises:
        GoneError: it is gone.
        ApiError: the API server does not allow it.
    """
    found = await _get(kube, pod)
    before = {each["name"]: each["image"] for each in found["spec"]["containers"]}
    if FAILED_BY not in found["metadata"].get("labels", {}):
        labels, notes = {FAILED_BY: owner}, {IMAGES: json.dumps(before)}
        asked = time.monotonic()
        try:
            await _patch(kube, pod, dict.fromkeys(before, image), labels, notes)
        except ApiError as error:
            if error.status not in _NOT_THIS_POD:
                raise
            raise GoneError(f"pod {pod.name} is gone") from None
    else:
        asked = time.monotonic()
    while (now := pod_of(found, pod.revision)).running and now.container_id == pod.container_id:
        if time.monotonic() - asked > _STOP_SECONDS:
            break
        await asyncio.sleep(_LOOK_SECONDS)
        found = await _get(kube, pod)
    return Moment(asked, time.monotonic())


async def restore(kube: Kube, namespace: str, owner: str | None) -> list[str]:
    """Give all pods that an owner (None: anybody) has failed their images again; their names."""
    chosen = FAILED_BY if owner is None else f"{FAILED_BY}={owner}"
    found = await asyncio.to_thread(kube.list, POD, namespace, labels=chosen)
    for each in found.get("items", ()):
        images = json.loads(each["metadata"].get("annotations", {}).get(IMAGES, "{}"))
        try:
            await _patch(kube, pod_of(each), images, {FAILED_BY: None}, {IMAGES: None})
        except ApiError as error:
            if error.status not in _NOT_THIS_POD:
                raise
    return [each["metadata"]["name"] for each in found.get("items", ())]


async def failed(kube: Kube, namespace: str, owner: str) -> list[str]:
    """Names of pods that an owner has failed and not restored yet."""
    found = await asyncio.to_thread(kube.list, POD, namespace, labels=f"{FAILED_BY}={owner}")
    return [each["metadata"]["name"] for each in found.get("items", ())]


async def _get(kube: Kube, pod: Pod) -> Object:
    found = await asyncio.to_thread(kube.get, POD, pod.name, pod.namespace)
    if found is None or found["metadata"]["uid"] != pod.uid:
        raise GoneError(f"pod {pod.name} is gone")
    return found


async def _patch(kube: Kube, pod: Pod, images: dict[str, str], labels: dict[str, Any], notes: dict[str, Any]) -> None:
    """Set images by the name of their containers: a strategic merge, which leaves all else of them alone."""
    body = {
        "metadata": {"uid": pod.uid, "labels": labels, "annotations": notes},
        "spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]},
    }
    content = "application/strategic-merge-patch+json"
    await asyncio.to_thread(kube.request, "PATCH", POD.path(pod.namespace, pod.name), body, content=content)
