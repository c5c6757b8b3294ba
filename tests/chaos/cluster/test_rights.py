"""The table of rights: what the code asks of the API is in it, and a Role says no more than it."""

from __future__ import annotations

from chaos.cluster.kinds import LEASE, OURS, POD, Kind
from chaos.cluster.rights import RIGHTS, Right, binding, needed, role, rules


def verbs_of(kind: Kind, sub: str = "") -> set[str]:
    return {verb for right in RIGHTS if right.kind is kind and right.sub == sub for verb in right.verbs}


def test_everything_of_ours_may_be_listed_and_deleted_so_that_a_sweep_works() -> None:
    for kind in OURS:
        assert {"list", "delete"} <= verbs_of(kind), kind.kind


def test_nothing_is_granted_by_a_star_and_no_right_reaches_secrets_or_other_rights() -> None:
    for rule in rules(RIGHTS):
        assert "*" not in str(rule)
        assert not {"secrets", "roles", "rolebindings", "pods/exec"} & set(rule["resources"])
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])


def test_a_role_says_what_the_table_says() -> None:
    granted = {
        (group, resource, verb)
        for rule in role("a", "b", RIGHTS)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {(right.kind.group, right.resource, verb) for right in RIGHTS for verb in right.verbs}


def test_parts_are_left_out_unless_they_are_needed() -> None:
    groups = {right.kind.group for right in needed([])}
    assert groups == {"", "apps", "coordination.k8s.io"}
    assert {right.kind.group for right in needed(["gateway"])} == {*groups, "gateway.networking.k8s.io"}


def test_an_account_is_bound_by_what_it_is() -> None:
    assert binding("a", "b", "anna@example.org")["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "anna@example.org"}
    ]
    assert binding("a", "b", "system:serviceaccount:drills:runner")["subjects"] == [
        {"kind": "ServiceAccount", "name": "runner", "namespace": "drills"}
    ]


def test_resources_with_the_same_verbs_share_a_rule_only_within_a_group() -> None:
    found = rules([Right(kind=POD, verbs=("get",), why=""), Right(kind=LEASE, verbs=("get",), why="")])
    assert [rule["apiGroups"] for rule in found] == [[""], ["coordination.k8s.io"]]
