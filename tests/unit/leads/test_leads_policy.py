from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from airflow_providers_leads.leads.policy import MergePolicy, PolicyError, policy_from
from airflow_providers_leads.leads.schema import PROFILE_FIELDS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, MergePolicy()),
        ({}, MergePolicy()),
        ({"priority": ["hubspot", "persistiq"]}, MergePolicy(priority=("hubspot", "persistiq"))),
        ({"fields": {"phone": "newest"}}, MergePolicy(fields={"phone": "newest"})),
        ({"allow": {"persistiq": ["status"]}}, MergePolicy(allow={"persistiq": ("status",)})),
        ({"allow": {"persistiq": []}}, MergePolicy(allow={"persistiq": ()})),
        (MappingProxyType({"priority": ("hubspot",)}), MergePolicy(priority=("hubspot",))),
    ],
)
def test_policy_from(value: Any, expected: MergePolicy) -> None:
    assert policy_from(value) == expected


def test_a_policy_passes_through() -> None:
    policy = MergePolicy(priority=("hubspot",))
    assert policy_from(policy) is policy


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"prioritee": ["hubspot"]}, ["prioritee"]),
        ({"priority": "hubspot"}, ["priority", "str"]),
        ({"priority": ["hubspot", 1]}, ["priority[1]", "int"]),
        ({"fields": ["phone"]}, ["fields"]),
        ({"fields": {"fax": "newest"}}, ["'fax'", "phone"]),
        ({"fields": {"email": "newest"}}, ["'email'"]),
        ({"fields": {"phone": "oldest"}}, ["'phone'", "'oldest'", "priority, newest, longest"]),
        ({"allow": {"hubspot": ["phone", "fax"]}}, ["'fax'"]),
        ({"allow": {"hubspot": "phone"}}, ["allow"]),
        ("priority", ["object", "str"]),
        ([("priority", [])], ["object"]),
    ],
    ids=repr,
)
def test_a_wrong_entry_is_named(value: Any, named: list[str]) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_from(value)
    message = str(caught.value)
    assert message.count("merge policy: ") == 1
    assert all(part in message for part in named)


@pytest.mark.parametrize(
    "entries", [{"fields": {"fax": "newest"}}, {"fields": {"phone": "oldest"}}, {"allow": {"x": ("fax",)}}]
)
def test_a_policy_made_directly_is_checked_too(entries: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        MergePolicy(**entries)


def test_rule_and_barred_sources() -> None:
    policy = MergePolicy(fields={"phone": "longest"}, allow={"persistiq": ("status", "phone"), "perspective": ()})
    assert {field: policy.rule(field) for field in ("phone", "city")} == {"phone": "longest", "city": "priority"}
    assert policy.barred_sources("phone") == ("perspective",)
    assert policy.barred_sources("city") == ("persistiq", "perspective")
    assert all(MergePolicy().barred_sources(field) == () for field in PROFILE_FIELDS)
