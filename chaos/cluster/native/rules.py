"""Rules of the pod's network: put in place by iptables and tc, found and removed again by the mark that they bear."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from chaos.cluster.native.injection import PREFIX, RefusedError

HANDLE: Final = "7a17:"  #: of our queueing disciplines
FAMILIES: Final = ("iptables", "ip6tables")
_SECONDS: Final = 10.0  #: that one program may take


def within(pid: int, *command: str) -> str:
    """Run a program in the network namespace of a process; what it says.

    Raises:
        RefusedError: it failed, or is not installed.
    """
    argv = ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RefusedError("nsenter is not installed on the node (Debian: util-linux)") from None
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{shlex.join(command)}: no answer within {_SECONDS:g} s") from None
    if done.returncode != 0:
        raise RefusedError(f"{shlex.join(command)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def partition(mark: str) -> list[list[str]]:
    """Every packet that is not the pod's own talk to itself is dropped, both ways."""
    return [
        _rule("filter", "INPUT", "!", "-i", "lo", mark=mark, target=["-j", "DROP"]),
        _rule("filter", "OUTPUT", "!", "-o", "lo", mark=mark, target=["-j", "DROP"]),
    ]


def loss(mark: str, ratio: float) -> list[list[str]]:
    """A share of what it sends is dropped, each packet by its own throw."""
    dice = ["-m", "statistic", "--mode", "random", "--probability", f"{ratio:.10f}"]
    return [_rule("filter", "OUTPUT", "!", "-o", "lo", *dice, mark=mark, target=["-j", "DROP"])]


def queue(mark: str, number: int) -> list[list[str]]:
    """What it sends goes through a queue; when nobody reads that, packets pass (--queue-bypass)."""
    target = ["-j", "NFQUEUE", "--queue-num", str(number), "--queue-bypass"]
    return [_rule("mangle", "OUTPUT", "!", "-o", "lo", mark=mark, target=target)]


def redirect(mark: str, port: int, to: int) -> list[list[str]]:
    """New connections to a port go to another one of the same pod; those that are open go on (--syn).

    The second rule does nothing but keep the kernel's translation at work when the first one is gone: that ends with
    the last rule that needs it, also for the connections that are open.
    """
    match = ["!", "-i", "lo", "-p", "tcp", "--dport", str(port), "--syn"]
    to_ports = ["-j", "REDIRECT", "--to-ports", str(to)]
    return [
        _rule("nat", "PREROUTING", *match, mark=mark, target=to_ports),
        _rule("nat", "PREROUTING", *match, "-m", "conntrack", "--ctstate", "INVALID", mark=mark, target=[]),
    ]


def place(pid: int, rules: Sequence[Sequence[str]]) -> None:
    """Put rules first in their chains, for each address family that the pod uses."""
    for family in FAMILIES if _has_ipv6(pid) else FAMILIES[:1]:
        for rule in rules:
            within(pid, family, "-w", "5", *rule)


def families() -> list[str]:
    """The address families for which there are tools here."""
    return [family for family in FAMILIES if shutil.which(family) is not None]


def remove(pid: int, mark: str, *, target: str = "") -> list[str]:
    """Remove the rules with this mark (see `is_marked`), or those of them with a target; they are told, in words."""
    removed = []
    for family in families():
        for table, rule in marked(within(pid, f"{family}-save"), mark):
            if not target or target in rule:
                within(pid, family, "-w", "5", "-t", table, "-D", *rule)
                removed.append(f"{family} -t {table} -A {shlex.join(rule)}")
    return removed


def marks(pid: int, mark: str) -> set[str]:
    """All marks of rules in the network of a process that are of this one (see `is_marked`)."""
    saved = [rule for family in families() for _, rule in marked(within(pid, f"{family}-save"), mark)]
    return {_after(rule, "--comment") for rule in saved}


def marked(saved: str, mark: str) -> list[tuple[str, list[str]]]:
    """(table, chain and rule) of the rules in the text of iptables-save that bear a mark.

    >>> marked('*nat\\n-A INPUT -m comment --comment "rolloutlab/d7/f1.0" -j DROP\\nCOMMIT', "rolloutlab/d7/")
    [('nat', ['INPUT', '-m', 'comment', '--comment', 'rolloutlab/d7/f1.0', '-j', 'DROP'])]
    """
    table, found = "", []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A ") and PREFIX in line:
            words = shlex.split(line)[1:]
            if "--comment" in words and is_marked(_after(words, "--comment"), mark):
                found.append((table, words))
    return found


def is_marked(found: str, mark: str) -> bool:
    """It is this mark, or one of those that begin so where it ends with a slash.

    >>> is_marked("rolloutlab/d7/f1.10", "rolloutlab/d7/f1.1"), is_marked("rolloutlab/d7/f1.10", "rolloutlab/d7/")
    (False, True)
    """
    return found == mark or (mark.endswith("/") and found.startswith(mark))


def shape(pid: int, mark: str, rate_kbit_per_second: int) -> None:
    """Limit what it sends; RefusedError when somebody else has shaped it already.

    A queueing discipline cannot bear a mark, so a rule that does nothing bears it.
    """
    device, there = _device(pid), within(pid, "tc", "qdisc", "show")
    for line in there.splitlines():
        words = line.split()
        if words[1:2] != ["noqueue"] and _after(words, "dev") == device and words[2] != "0:":
            raise RefusedError(f"{device} of the pod has a queueing discipline of its own already: {line.strip()}")
    # The burst is one full packet, or what the rate brings in 10 ms; larger ones are cut by the kernel.
    burst = max(1600, round(rate_kbit_per_second * 1000 / 8 / 100))
    rate = ["rate", f"{rate_kbit_per_second}kbit", "burst", str(burst), "latency", "5s"]
    place(pid, [_rule("filter", "OUTPUT", mark=mark, target=[])])
    within(pid, "tc", "qdisc", "add", "dev", device, "root", "handle", HANDLE, "tbf", *rate)


def is_shaped(pid: int) -> bool:
    """There is a limit of ours."""
    return bool(_limits(pid))


def unshape(pid: int) -> list[str]:
    """Remove a limit of ours; it is told, in words."""
    removed = _limits(pid)
    for line in removed:
        within(pid, "tc", "qdisc", "del", "dev", _after(line.split(), "dev"), "root", "handle", HANDLE)
    return removed


def _limits(pid: int) -> list[str]:
    lines = within(pid, "tc", "qdisc", "show").splitlines() if shutil.which("tc") else []
    return [line.strip() for line in lines if line.split()[2:3] == [HANDLE]]


def _rule(table: str, chain: str, *match: str, mark: str, target: list[str]) -> list[str]:
    return ["-t", table, "-I", chain, *match, "-m", "comment", "--comment", mark, *target]


def _has_ipv6(pid: int) -> bool:
    """It has an IPv6 address that others can use: of global scope (00), not loopback and not link-local."""
    try:
        with open(f"/proc/{pid}/net/if_inet6") as lines:
            return any(line.split()[3] == "00" for line in lines)
    except OSError:
        return False


def _device(pid: int) -> str:
    words = within(pid, "ip", "-o", "route", "show", "default").split()
    if "dev" not in words:
        raise RefusedError("the pod has no default route, so it is not known by which device it sends")
    return _after(words, "dev")


def _after(words: list[str], word: str) -> str:
    return words[words.index(word) + 1]
