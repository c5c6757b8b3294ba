"""Every value that a builder takes, as Hypothesis draws it; shared with the tests on a real API server."""

from __future__ import annotations

from hypothesis import strategies as st

from chaos.faults.chaos_mesh import (
    Bandwidth,
    Chaos,
    Cpu,
    Delay,
    HTTPChaos,
    Identity,
    Memory,
    Mode,
    NetworkChaos,
    Partition,
    Passthrough,
    Patch,
    PodChaos,
    Reorder,
    Replace,
    Schedule,
    Selector,
    Share,
    StressChaos,
    Target,
)

NAMESPACE = "shop"
DRILL = "drill-7"

names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
label_keys = st.sampled_from(["app", "rolloutlab/revision", "app.kubernetes.io/name", "a_b.C-d"])
label_values = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,10}[A-Za-z0-9])?)?", fullmatch=True)
shares = st.floats(0, 1)
some = st.floats(1e-6, 1)
seconds = st.floats(0.001, 86_400)
short = st.floats(1e-6, 3600)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
maps = st.dictionaries(texts, texts, max_size=2)
pairs = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
bodies = st.none() | st.binary(min_size=1)
methods = st.sampled_from(["", "GET", "POST", "CONNECT"])
codes = st.none() | st.integers(100, 599)

selectors = st.one_of(
    st.builds(Selector, namespace=st.just(NAMESPACE), labels=st.dictionaries(label_keys, label_values, min_size=1)),
    st.builds(
        Selector, namespace=st.just(NAMESPACE), pods=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
    ),
)
modes = st.one_of(
    st.builds(Mode, st.sampled_from(["all", "one"])),
    st.builds(Mode, st.just("fixed"), st.integers(1, 1000)),
    st.builds(Mode, st.sampled_from(["fixed-percent", "random-max-percent"]), st.integers(1, 100)),
)
targets = st.builds(Target, selectors, modes)
containers = st.lists(names, min_size=1, max_size=2).map(tuple)

pod_chaos = st.one_of(
    st.builds(
        PodChaos, action=st.just("pod-kill"), target=targets, duration_seconds=seconds, grace_seconds=st.integers(0, 60)
    ),
    st.builds(PodChaos, action=st.just("pod-failure"), target=targets, duration_seconds=seconds),
    st.builds(
        PodChaos, action=st.just("container-kill"), target=targets, duration_seconds=seconds, containers=containers
    ),
)
reorders = st.builds(Reorder, shares, st.integers(1, 100), shares)
shaping = st.one_of(
    st.builds(Delay, short, st.floats(0, 3600), shares, st.none() | reorders),
    st.builds(Share, st.sampled_from(["loss", "corrupt", "duplicate"]), some, shares),
    st.builds(Bandwidth, st.integers(1, 10**12), st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1)),
)
outside = st.lists(st.sampled_from(["192.0.2.1", "198.51.100.0/24", "example.com"]), max_size=2).map(tuple)
network_chaos = st.one_of(
    st.builds(
        NetworkChaos,
        action=shaping | st.builds(Partition),
        target=targets,
        duration_seconds=seconds,
        peers=st.none() | targets,
        external=outside,
        device=st.sampled_from(["", "eth0"]),
    ),
    st.builds(
        NetworkChaos,
        action=shaping,
        target=targets,
        duration_seconds=seconds,
        direction=st.sampled_from(["from", "both"]),
        peers=targets,
    ),
    st.builds(
        NetworkChaos,
        action=st.builds(Partition),
        target=targets,
        duration_seconds=seconds,
        direction=st.sampled_from(["to", "from", "both"]),
        peers=st.none() | targets,
        external=outside,
    ),
)
requests = st.builds(
    HTTPChaos,
    side=st.just("Request"),
    port=st.integers(1, 65535),
    target=targets,
    duration_seconds=seconds,
    abort=st.booleans(),
    delay_seconds=short,
    replace=st.none() | st.builds(Replace, path=texts, method=methods, body=bodies, queries=maps),
    patch=st.none() | st.builds(Patch, body=st.none() | maps, queries=pairs, headers=st.just((("a", "b"),))),
    path=st.sampled_from(["", "*", "/api/*"]),
    method=methods,
    request_headers=maps,
)
responses = st.builds(
    HTTPChaos,
    side=st.just("Response"),
    port=st.integers(1, 65535),
    target=targets,
    duration_seconds=seconds,
    abort=st.just(True),
    delay_seconds=st.floats(0, 3600),
    replace=st.none() | st.builds(Replace, code=st.integers(100, 599), body=bodies, headers=maps),
    patch=st.none() | st.builds(Patch, body=maps, headers=pairs),
    code=codes,
    response_headers=maps,
)
stress_chaos = st.builds(
    StressChaos,
    target=targets,
    duration_seconds=seconds,
    cpu=st.builds(Cpu, st.integers(1, 8192), shares),
    memory=st.none() | st.builds(Memory, st.floats(0.1, 65536), st.integers(1, 64), st.integers(-1000, 1000)),
    containers=containers | st.just(()),
)
passthroughs = st.one_of(
    st.builds(
        Passthrough,
        name=st.just("TimeChaos"),
        fields=st.just({"timeOffset": "-5m"}),
        target=targets,
        duration_seconds=seconds,
    ),
    st.builds(
        Passthrough,
        name=st.just("IOChaos"),
        fields=st.just(
            {"action": "latency", "delay": "100ms", "path": "/data/*", "volumePath": "/data", "percent": 50}
        ),
        target=targets,
        duration_seconds=seconds,
    ),
    st.builds(
        Passthrough,
        name=st.just("DNSChaos"),
        fields=st.just({"action": "error", "patterns": ["example.*"]}),
        target=targets,
        duration_seconds=seconds,
    ),
)
faults: st.SearchStrategy[Chaos] = st.one_of(pod_chaos, network_chaos, requests, responses, stress_chaos, passthroughs)
crons = st.sampled_from(
    ["*/5 * * * *", "0 10 * * tue", "30 */5 1-3,7 * jan-mar 0", "@every 10m", "@every 1h30m", "@hourly"]
)
schedules = st.builds(
    Schedule,
    cron=crons,
    item=faults,
    concurrency=st.sampled_from(["Forbid", "Allow"]),
    history_limit=st.integers(1, 9),
    starting_deadline_seconds=st.none() | st.integers(1, 600),
)
objects: st.SearchStrategy[Chaos] = st.one_of(faults, schedules)
owners = st.lists(
    st.fixed_dictionaries(
        {"apiVersion": st.just("batch/v1"), "kind": st.just("Job"), "name": names, "uid": st.uuids().map(str)}
    ),
    max_size=1,
)
identities = st.builds(
    Identity,
    name=names,
    namespace=st.just(NAMESPACE),
    drill=st.just(DRILL),
    expires_at=st.floats(1e9, 4e9),
    owners=owners,
    annotations=st.just({"rolloutlab/fault": "0"}),
)
