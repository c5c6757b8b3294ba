"""Which cluster and account a kubeconfig means, as kubectl would find it; or the account of the pod this runs in."""

from __future__ import annotations

import binascii
import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import LocationValueError
from urllib3.util import parse_url

from chaos.world import WorldError

IN_POD: Final = "KUBERNETES_SERVICE_HOST"  #: of the environment of every pod
_USUAL: Final = "~/.kube/config"
_NOT_YAML: Any = vars(kube_config)["yaml"].YAMLError  # of the package that the client reads it with
#: what a file of another shape makes the client's loader raise
_ODD: Final = (AttributeError, ConfigException, KeyError, TypeError, ValueError, binascii.Error, _NOT_YAML)


@dataclass(frozen=True, slots=True)
class Account:
    """Attributes:

    settings: of the official client.
    file: absolute path of the kubeconfig, or several as in KUBECONFIG; None in a pod.
    context: its name; empty in a pod.
    """

    settings: Any
    file: str | None
    context: str


def account(kubeconfig: str | None, context: str | None) -> Account:
    """Find it.

    Args:
        kubeconfig: a file; None: KUBECONFIG, the usual file, the account of this pod.
        context: None: the current one.

    Raises:
        WorldError: there is none, or it cannot be used; says what to do.
    """
    named = (
        [kubeconfig] if kubeconfig else [each for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    )
    paths = [Path(each).expanduser().absolute() for each in named or [_USUAL]]
    there = [str(path) for path in paths if path.exists()]
    if there:
        return _of_files(os.pathsep.join(there), context)
    if named:
        raise WorldError(f"kubeconfig {os.pathsep.join(map(str, paths))} does not exist; name yours with --kubeconfig")
    if os.environ.get(IN_POD):
        return _of_pod()
    raise WorldError(
        f"no cluster is known: no native node is up and there is no kubeconfig ({paths[0]}, KUBECONFIG); "
        f"`make cluster-up` starts a node here, `make kind-up` one in Docker, --kubeconfig names that of your cluster"
    )


def _of_files(files: str, context: str | None) -> Account:
    settings = client.Configuration()
    settings.host = ""  # its default is this machine, which nobody named
    load: Any = config.load_kube_config  # carries no types
    try:
        named = dict(_contexts(files))
        chosen = _chosen(files, context, named)
        load(config_file=files, context=chosen, client_configuration=settings)
    except OSError as error:
        raise WorldError(f"kubeconfig {files} cannot be read: {error.strerror or error}") from None
    except _ODD as error:
        raise WorldError(f"kubeconfig {files} cannot be used: {_words(error)}") from None
    settings.host = _server(settings.host, f"kubeconfig {files}, context {chosen}")
    return Account(settings, files, chosen)


def _of_pod() -> Account:
    settings = client.Configuration()
    load: Any = config.load_incluster_config
    try:
        load(client_configuration=settings)
    except (ConfigException, OSError) as error:
        raise WorldError(f"this pod has no service account that could be used: {error}") from None
    return Account(settings, None, "")


def _contexts(files: str) -> Iterator[tuple[str, Any]]:
    """Contexts by name, and the current one by the name of nothing."""
    merge: Any = kube_config.KubeConfigMerger
    found = merge(files).config.value
    for each in found.get("contexts") or ():
        yield str(each["name"]), None
    yield "", found.get("current-context")


def _chosen(files: str, context: str | None, named: dict[str, Any]) -> str:
    current = named.pop("")
    wanted = context or current
    known = ", ".join(sorted(named)) or "none"
    if not wanted:
        raise WorldError(f"kubeconfig {files} has no current context; choose one with --context: {known}")
    if wanted not in named:
        near = difflib.get_close_matches(str(wanted), named, n=1)
        hint = f" did you mean {near[0]!r}?" if near else ""
        raise WorldError(f"kubeconfig {files} has no context {wanted!r};{hint} known: {known}")
    return str(wanted)


def _server(url: str, where: str) -> str:
    """The URL without a user and a password, which would stand in messages."""
    try:
        parts = parse_url(url)
    except LocationValueError:
        parts = parse_url("")
    if parts.scheme not in ("http", "https") or not parts.host:
        raise WorldError(f"{where}: expected the URL of a server, got {url!r:.80}")
    return str(parts._replace(auth=None).url).rstrip("/")


def _words(error: BaseException) -> str:
    """One line of what a loader says; the lines of a file, which hold secrets, are not repeated."""
    if isinstance(error, _NOT_YAML):
        mark = getattr(error, "problem_mark", None)
        return f"not YAML{f' (line {mark.line + 1})' if mark is not None else ''}"
    if isinstance(error, ConfigException):
        return (
            str(error)
            .replace("Invalid kube-config file. ", "")
            .replace("Invalid kube-config. ", "")
            .split("{", 1)[0][:200]
        )
    return "it is no kubeconfig"
