from __future__ import annotations

import inspect
import json
import textwrap
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from airflow_providers_leads.leads.merge.policy import (
    MAX_POLICY_BYTES,
    RULES,
    MergePolicy,
    PolicyError,
    load_policy,
    policy_from,
)
from airflow_providers_leads.leads.model.identity import IdentityRules, RulesError


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
        ({"groups": {"place": ["city", "state"]}}, MergePolicy(groups={"place": ("city", "state")})),
        ({"properties": "winner"}, MergePolicy(properties="winner")),
        ({"identity": {"plus_tags": True}}, MergePolicy(identity=IdentityRules(plus_tags=True))),
        ({"identity": IdentityRules(plus_tags=True)}, MergePolicy(identity=IdentityRules(plus_tags=True))),
        ("{}", MergePolicy()),
        ("priority: [hubspot]", MergePolicy(priority=("hubspot",))),
        ('{"fields": {"phone": "newest"}}', MergePolicy(fields={"phone": "newest"})),
        ("fields:\n  phone: newest # or.yaml", MergePolicy(fields={"phone": "newest"})),
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
        ({"priority": ["a", "b", "a"]}, ["'a'", "twice"]),
        ({"groups": {"place": ["city", "fax"]}}, ["'fax'"]),
        ({"groups": {"place": ["city"]}}, ["'place'", "fewer than two"]),
        ({"groups": {"place": []}}, ["'place'", "fewer than two"]),
        ({"groups": {"place": ["city", "city"]}}, ["'city'", "'place'"]),
        ({"groups": {"place": ["city", "state"], "area": ["country", "city"]}}, ["'city'", "'place'", "'area'"]),
        ({"groups": {"place": ["city", "state"]}, "fields": {"city": "newest"}}, ["'city' and 'state'", "different"]),
        ({"groups": {"place": ["city", "state"]}, "fields": {"state": "newest"}}, ["'city' and 'state'", "different"]),
        (
            {"groups": {"place": ["city", "state"]}, "fields": {"city": "longest", "state": "longest"}},
            ["'city'", "'longest'", "priority or newest"],
        ),
        ({"groups": {"place": ["city", "state"]}, "allow": {"hubspot": ["city"]}}, ["'hubspot'", "'place'", "not all"]),
        ({"properties": "newest"}, ["properties", "newest"]),
        ({"identity": {"plus": True}}, ["plus", "identity"]),
        ({"identity": {"plus_tags": 1}}, ["identity.plus_tags", "bool"]),
        ({"identity": {"domain_aliases": {"x": "y.de"}}}, ["identity: domain_aliases", "'x'"]),
        ({"identity": {"match_on": ["phone"]}}, ["identity: match_on", "'email'"]),
        ("priority", ["object", "str"]),
        ("", ["object", "null"]),
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
    "entries",
    [
        {"fields": {"fax": "newest"}},
        {"fields": {"phone": "oldest"}},
        {"allow": {"x": ("fax",)}},
        {"groups": {"x": ("city", "fax")}},
        {"properties": "none"},
    ],
)
def test_a_policy_made_directly_is_checked_too(entries: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        MergePolicy(**entries)


def test_rule_and_barred_sources() -> None:
    policy = MergePolicy(fields={"phone": "longest"}, allow={"persistiq": ("status", "phone"), "perspective": ()})
    assert {field: policy.by_field()[field].rule for field in ("phone", "city")} == {
        "phone": "longest",
        "city": "priority",
    }
    assert policy.by_field()["phone"].barred == ("perspective",)
    assert policy.by_field()["city"].barred == ("persistiq", "perspective")
    assert all(how.barred == () for how in MergePolicy().by_field().values())


def test_group_of() -> None:
    together = ("address", "postal_code", "city")
    policy = MergePolicy(
        groups={"location": together, "name": ("first_name", "last_name")},
        fields=dict.fromkeys(together, "newest"),
        allow={"persistiq": (*together, "phone")},
    )
    assert [policy.by_field()[field].group for field in together] == [together] * 3
    assert policy.by_field()["last_name"].group == ("first_name", "last_name")
    assert policy.by_field()["phone"].group is None
    assert {policy.by_field()[field].rule for field in together} == {"newest"}


def docstring_example() -> str:
    """Return the indented block after the first "::" of the policy's docstring."""
    after = inspect.cleandoc(MergePolicy.__doc__ or "").partition("::\n")[2].lstrip("\n")
    lines = after.splitlines()
    end = next(place for place, line in enumerate(lines) if line and not line.startswith(" "))
    return textwrap.dedent("\n".join(lines[:end]))


def test_the_docstring_s_example_is_a_policy_that_sets_everything() -> None:
    policy = policy_from(docstring_example())
    location = ("address", "postal_code", "city")
    assert policy == MergePolicy(
        priority=("hubspot", "persistiq"),
        fields={"phone": "newest", "company": "longest", "country": "most_common"},
        groups={"location": location},
        allow={"perspective": ("first_name", "last_name", "phone")},
        properties="merge",
        identity=IdentityRules(
            plus_tags=True,
            gmail_dots=True,
            domain_aliases={"example.com": "example.org"},
            role_addresses=("info", "office", "test", "sales@example.org"),
            match_on=("email", "phone"),
            phone_region="DE",
            max_emails_per_phone=3,
        ),
    )
    written = yaml.safe_load(docstring_example())
    assert set(written) == set(MergePolicy.__struct_fields__)
    assert set(written["identity"]) == set(IdentityRules.__struct_fields__)


@pytest.mark.parametrize("kind", [str, Path, UPath])
@pytest.mark.parametrize("name", ["policy.yaml", "policy.YML", "policy ü.yml"])
def test_a_policy_file(tmp_path: Path, kind: Any, name: str) -> None:
    file = tmp_path / name
    file.write_text("\ufeffpriority: [hubspot]\r\nfields: {phone: newest}\r\n", encoding="utf-8")
    expected = MergePolicy(priority=("hubspot",), fields={"phone": "newest"})
    assert load_policy(kind(file)) == policy_from(kind(file)) == expected


def test_a_policy_file_anywhere_and_under_any_name() -> None:
    path = UPath("memory://policies/current")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("priority: [hubspot]")
    assert load_policy("memory://policies/current") == policy_from(path) == MergePolicy(priority=("hubspot",))


BAD_YAML = [
    ("priority: [hubspot]\nprioritee: [x]", 2, "prioritee"),
    ("# a comment\n\npriority: hubspot", 3, "priority"),
    ("priority:\n- hubspot\n- 1", 3, "priority[1]"),
    ("priority:\n- a\n- b\n- a", 4, "twice"),
    ("priority:\n- hubspot\n- no", 3, "quotes"),
    ("fields:\n  phone: newest\n  fax: newest", 3, "'fax'"),
    ("fields:\n  phone: newest\n  city: oldest\n  state: newest", 3, "'oldest'"),
    ("fields:\n  phone: newest\n  city: 1\n  state: newest", 3, "fields"),
    ("fields:\n  phone: newest\n  city:\n    rule: newest", 3, "fields"),
    ("fields:\n  phone: newest\n  yes: newest", 3, "text"),
    ("fields:\n  phone: newest\n  ? [a]\n  : newest", 3, "text"),
    ("fields:\n  phone: newest\n  <<: {city: newest}", 3, "text"),
    ("fields:\n  phone: newest\n  city: newest\n  phone: longest", 4, "line 2"),
    ("priority: []\nproperties: merge\npriority: []", 3, "line 1"),
    ("allow:\n  a: [phone]\n  b:\n  - phone\n  - fax", 5, "'fax'"),
    ("allow:\n  a: [phone]\n  b:\n  - phone\n  - 1", 5, "allow"),
    ("allow:\n  a: [phone]\n  b: phone", 3, "allow"),
    ("groups:\n  a: [city, state]\n  b:\n  - country\n  - city", 5, "'city'"),
    ("groups:\n  a: [city, state]\nfields:\n  phone: newest\n  state: newest", 5, "different"),
    ("groups:\n  a: [city, state]\nfields:\n  phone: newest\n  city: newest", 5, "different"),
    ("groups:\n  a: [city, state]\nallow:\n  x: [phone]\n  y: [city]", 5, "'y'"),
    ("groups:\n- [city, state]", 1, "groups"),
    ("\n\nproperties: newest", 3, "properties"),
    ("identity:\n  plus_tags: true\n  gmail: true", 3, "gmail"),
    ("identity:\n  plus_tags: 1", 2, "plus_tags"),
    ("identity:\n  phone_region: NO", 2, "quotes"),
    ("identity:\n  phone_region: XX", 2, "'XX'"),
    ("identity:\n  domain_aliases:\n    a.de: b.de\n    c.de: d", 4, "'d'"),
    ("identity:\n  domain_aliases:\n    a.de: b.de\n    b.de: c.de", 3, "'b.de'"),
    ("identity:\n  domain_aliases:\n    a.de: b.de\n    c.de: 1", 4, "domain_aliases"),
    ("identity:\n  domain_aliases:\n    a.de: b.de\n    c.de:", 4, "quotes"),
    ("identity:\n  role_addresses:\n  - info\n  - a b", 4, "'a b'"),
    ("identity:\n  role_addresses:\n  - info\n  - null", 4, "quotes"),
    ("identity:\n  match_on: [email,\n    fax]", 3, "fax"),
    ("identity:\n  max_emails_per_phone: 0", 2, "1 or more"),
    ("identity:\n  max_emails_per_phone: 3.5", 2, "float"),
    ("identity:\n- plus_tags", 1, "identity"),
    ("", 1, "object"),
    ("# nothing but a comment\n", 1, "object"),
    ("\n- priority", 2, "object"),
    ("priority: [hubspot]\n---\npriority: []", 2, "document"),
    ("priority: [hubspot", 1, "expected"),
    ("priority: []\nfields:\n\tphone: newest", 3, "token"),
    ("priority: []\nfields: newest: newest", 2, "mapping values"),
    ("priority: []\nallow: &a {}\nfields: *a", 3, "aliases"),
    ("priority: &a [*a]", 1, "aliases"),
    ("priority: []\nfields: !!python/object/apply:os.getcwd []", 2, "python"),
    ("priority: []\nproperties: !mine merge", 2, "!mine"),
    ("priority:\n- hubspot\n- 2024-13-45", 3, "timestamp"),
    ("priority:\n- !!int x", 2, "'x'"),
    ("priority:\n- 0b_", 2, "'0b_'"),
    ("priority:\n- !!bool maybe", 2, "'maybe'"),
    ("priority:\n- !!map x", 2, "x"),
    ("priority:\n- !!seq x", 2, "x"),
    ("priority:\n- " + "9" * 5000, 2, ""),
    ("priority: []\nfields: " + "[" * 2000, 2, "deep"),
    ("priority: []\nfields: \x07", 2, "character"),
    ("%YAML 9.9\n---\n{}", 1, "YAML"),
    ("priority: []\nfields: @x", 2, "token"),
]


@pytest.mark.parametrize(("text", "line", "named"), BAD_YAML, ids=[ascii(case[0])[:60] for case in BAD_YAML])
def test_a_malformed_policy_names_file_and_line(tmp_path: Path, text: str, line: int, named: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        policy_from(str(file))
    message = str(caught.value)
    assert message.startswith(f"merge policy: {file}, line {line}: ")
    assert named in message
    assert "\n" not in message
    with pytest.raises(PolicyError, match=rf"^merge policy: line {line}: "):
        policy_from(text)


def test_a_file_that_is_not_text_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(b"priority: []\nfields: {}\n# B\xfccher\n")
    with pytest.raises(PolicyError, match=r"policy\.yaml, line 3: is not UTF-8"):
        load_policy(file)


def test_a_file_that_cannot_be_read_names_itself(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, "memory://policies/missing.yaml"):
        with pytest.raises(PolicyError, match=r"^merge policy: .* can't be read: ") as caught:
            load_policy(path)
        assert str(path) in str(caught.value)


def test_a_file_s_size_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("{}\n" + "#" * (MAX_POLICY_BYTES - 3))
    assert load_policy(file) == MergePolicy()
    file.write_text("{}\n" + "#" * (MAX_POLICY_BYTES - 2))
    with pytest.raises(PolicyError, match=r"policy\.yaml is larger than 256 KiB"):
        load_policy(file)


policies = st.builds(
    MergePolicy,
    priority=st.lists(st.sampled_from(["hubspot", "no", "1", "ü", "a: b"]), unique=True).map(tuple),
    fields=st.dictionaries(st.sampled_from(["phone", "company", "country"]), st.sampled_from(RULES)),
    allow=st.dictionaries(
        st.sampled_from(["hubspot", "null", "#x"]), st.sampled_from([(), ("phone",), ("phone", "city", "state")])
    ),
    groups=st.sampled_from([{}, {"yes": ("city", "state")}]),
    properties=st.sampled_from(["merge", "winner"]),
    identity=st.builds(
        IdentityRules,
        plus_tags=st.booleans(),
        domain_aliases=st.sampled_from([{}, {"bücher.de": "x.de"}]),
        role_addresses=st.sampled_from([(), ("null", "büro", "ann@x.de")]),
        phone_region=st.sampled_from([None, "NO", "DE"]),
        max_emails_per_phone=st.integers(1, 9),
    ),
)


@given(policies)
def test_a_policy_comes_back_from_yaml_and_json(policy: MergePolicy) -> None:
    plain = msgspec.to_builtins(policy)
    assert policy_from(plain) == policy
    assert policy_from(json.dumps(plain)) == policy
    assert policy_from(yaml.safe_dump(json.loads(json.dumps(plain)), allow_unicode=True)) == policy


@given(st.text(max_size=60) | st.text("abc:-[]{}&*!|>'\"#?, \n\t01", max_size=60))
def test_any_text_gives_a_policy_or_a_policy_error(text: str) -> None:
    try:
        policy_from(text + "\n")
    except PolicyError as error:
        assert "line " in str(error)


def test_an_error_is_a_value_error_with_the_path_of_the_entry() -> None:
    with pytest.raises(RulesError) as caught:
        policy_from({"identity": {"role_addresses": ["info", "a b"]}})
    assert caught.value.path == ("identity", "role_addresses", 1)
    assert isinstance(caught.value, ValueError)
