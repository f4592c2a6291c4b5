from __future__ import annotations

import string
import time
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import ibis
import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.merge.engine import collect, connect, in_memory
from airflow_providers_leads.leads.model.identity import (
    DEFAULT_ROLE_ADDRESSES,
    IdentityRules,
    RulesError,
    domain_of,
    email_key,
    is_role_address,
    is_role_expr,
    person_key,
    person_key_expr,
    reject_reason,
)

SAME_PERSON = [
    ("ann@example.org", "ann@example.org"),
    ("ANN@Example.ORG", "ann@example.org"),
    ("  ann@example.org\t\r\n", "ann@example.org"),
    ("\u00a0ann@example.org\u3000", "ann@example.org"),
    ("\ufeffann@example.org\u200b", "ann@example.org"),
    ("a\u00adnn@exam\u200bple.org", "ann@example.org"),
    ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ann@example.org"),
    ("ann@example。org", "ann@example.org"),
    ("ann@example｡org", "ann@example.org"),
    ("ann@example.org.", "ann@example.org"),
    ("Ann Lee <Ann@example.org>", "ann@example.org"),
    ('"Lee, Ann" <ann@example.org>', "ann@example.org"),
    ("<ann@example.org>", "ann@example.org"),
    ("Ann ＜ann@example.org＞", "ann@example.org"),
    ("Ann < ann@example.org. >", "ann@example.org"),
    ("m\u00fcller@example.org", "m\u00fcller@example.org"),
    ("mu\u0308ller@example.org", "m\u00fcller@example.org"),
    ("MU\u0308LLER@example.org", "m\u00fcller@example.org"),
    ("m\u00fcller@b\u00fccher.de", "m\u00fcller@xn--bcher-kva.de"),
    ("M\u00dcLLER@B\u00dcCHER.DE", "m\u00fcller@xn--bcher-kva.de"),
    ("m\u00fcller@bu\u0308cher.de", "m\u00fcller@xn--bcher-kva.de"),
    ("m\u00fcller@XN--BCHER-KVA.de", "m\u00fcller@xn--bcher-kva.de"),
    ("m\u00fcller@b\u00fccher.de。", "m\u00fcller@xn--bcher-kva.de"),
    # Names that are reserved, or that IDNA would refuse to register, still are what a CRM holds.
    ("ann@example.test", "ann@example.test"),
    ("m\u00fcller@example.test", "m\u00fcller@example.test"),
    ("Ann <ann@crm.local>", "ann@crm.local"),
    ("\u200bann@ab--cd.com", "ann@ab--cd.com"),
    ("ann@ab--cd.com", "ann@ab--cd.com"),
    ("o'brien+x=1@example.org", "o'brien+x=1@example.org"),
    ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
]


@pytest.mark.parametrize(("address", "key"), SAME_PERSON, ids=[ascii(address)[:48] for address, _ in SAME_PERSON])
def test_every_spelling_of_an_address_gives_one_key(address: str, key: str) -> None:
    assert email_key(address) == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@example.org", "ann+news@example.org"),
        ("annlee@example.org", "ann.lee@example.org"),
        ("ann@example.org", "ann@mail.example.org"),
        ("muller@example.org", "m\u00fcller@example.org"),
        ("ann@fass.de", "ann@fa\u00df.de"),
        # NFKC would join these.
        ("fi@example.org", "\ufb01@example.org"),
        ("x2@example.org", "x\u00b2@example.org"),
        # Latin and Cyrillic look-alikes.
        ("a@example.org", "\u0430@example.org"),
    ],
)
def test_similar_addresses_stay_two_people(one: str, other: str) -> None:
    assert email_key(one) is not None
    assert email_key(other) is not None
    assert email_key(one) != email_key(other)


@pytest.mark.parametrize(
    "address",
    [
        None, "", "  ", "\u200b", "n/a", "ann", "ann@", "@example.org", "ann@localhost", "ann@@example.org",
        "a@b@example.org", "ann@example..org", "ann@.org", "ann@example.org..", "ann@-example.org", "ann@exam_ple.org",
        "ann..lee@example.org", ".ann@example.org", "ann.@example.org", "ann lee@example.org", "ann@exa mple.org",
        "a\u00a0b@example.org", '"ann lee"@example.org', "mailto:ann@example.org", "ann@example.org, bob@example.org",
        "ann@example.org;", "Ann <ann@example.org", "Ann <>", "ann@[192.0.2.1]", "ann@xn--a.de", "ann@example.org\x00",
        "\ud800@example.org", "ann@\ud800.org", "a" * 65 + "@example.org", "\u00e4" * 65 + "@example.org",
        "ann@" + "b" * 64 + ".org", "ann@" + "\u00e4" * 64 + ".org", "ann@" + "b." * 130 + "org",
    ],
    ids=lambda address: ascii(address)[:48],
)  # fmt: skip
def test_what_is_no_address_gives_no_key(address: str | None) -> None:
    assert email_key(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, "no_email"),
        ("", "no_email"),
        (" \t\u00a0", "no_email"),
        ("n/a", "invalid_email"),
        ("ann@", "invalid_email"),
    ],
)
def test_reject_reason_tells_no_address_from_a_wrong_one(address: str | None, reason: str) -> None:
    assert reject_reason(address) == reason


@pytest.mark.parametrize(
    ("key", "domain"),
    [("ann@example.org", "example.org"), ("m\u00fcller@xn--bcher-kva.de", "xn--bcher-kva.de"), ("", "")],
)
def test_domain_of(key: str, domain: str) -> None:
    assert domain_of(key) == domain


atoms = st.text(string.ascii_lowercase + string.digits + "+-_'", min_size=1, max_size=12)
labels = st.text(string.ascii_lowercase, min_size=2, max_size=10)
plain_addresses = st.builds(
    lambda local, domain: f"{'.'.join(local)}@{'.'.join(domain)}",
    st.lists(atoms, min_size=1, max_size=3),
    st.lists(labels, min_size=2, max_size=3),
)


def _returns_from_upper_case(letter: str) -> bool:
    # Not every letter does: "ß" becomes "SS", and a final sigma depends on its neighbours.
    return letter.upper().lower() == letter and letter not in "σς"


letters = st.characters(codec="utf-8", categories=["Ll", "Lo"]).filter(_returns_from_upper_case)
international_addresses = st.builds(
    lambda local, domain: f"{local}@{domain}",
    st.text(letters, min_size=1, max_size=8),
    st.sampled_from(
        ["b\u00fccher.de", "example.org", "xn--bcher-kva.de", "\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444"]
    ),
)
address_like = st.text(st.characters() | st.sampled_from("@.<> \u200b\u0130\u03a3\u212a"), max_size=20)
anything = st.one_of(
    plain_addresses,
    international_addresses,
    st.text(max_size=40),
    st.builds(lambda local, domain: f"{local}@{domain}.de", address_like, address_like),
)


@given(anything)
@example("\u0130@example.org")
@example("\u0391\u03a3@example.org")
@example("\u212a@\u212a.de")
def test_a_key_is_its_own_key(address: str) -> None:
    key = email_key(address)
    assume(key is not None)
    assert email_key(key) == key


@given(anything)
@example("ANN@EXAMPLE.ORG")
@example("ÄNN@BÜCHER.DE")
def test_a_key_is_lower_case_composed_and_without_white_space(address: str) -> None:
    key = email_key(address)
    assume(key is not None)
    assert key is not None
    assert key == key.lower() == unicodedata.normalize("NFC", key)
    assert not any(letter.isspace() for letter in key)
    assert key.rpartition("@")[2].isascii()


@given(
    plain_addresses | international_addresses,
    st.randoms(use_true_random=False),
    st.text(" \t\n\r\u00a0\u2003\u3000\u200b\ufeff", max_size=4),
    st.text(" \t\n\r\u00a0\u2003\u3000\u200b\ufeff", max_size=4),
)
def test_case_and_white_space_never_change_a_key(address: str, random: Any, before: str, after: str) -> None:
    corrupted = "".join(letter.upper() if random.random() < 0.5 else letter for letter in address)
    assert email_key(f"{before}{corrupted}{after}") == email_key(address)


@given(plain_addresses, plain_addresses)
def test_plain_addresses_are_their_own_keys_and_never_join(one: str, other: str) -> None:
    assert email_key(one) == one
    assert (email_key(one) == email_key(other)) == (one == other)


def seconds(work: Callable[[str], object], addresses: Sequence[str]) -> float:
    """Return the best of five runs: what the machine does besides only ever adds."""

    def once() -> float:
        start = time.perf_counter()
        for address in addresses:
            work(address)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


def test_plain_addresses_never_reach_the_libraries() -> None:
    plain = [f"Ann.Lee{number}@Example{number % 97}.org" for number in range(10_000)]
    taken = seconds(email_key, plain)
    assert len(plain) / taken > 100_000
    assert taken < 40 * seconds(lambda address: address.strip().lower(), plain)


PLUS = IdentityRules(plus_tags=True)
DOTS = IdentityRules(gmail_dots=True)
OWN = IdentityRules(domain_aliases={"example.com": "example.org", "bücher.example": "example.org"})
ALL = IdentityRules(plus_tags=True, gmail_dots=True, domain_aliases=OWN.domain_aliases)

PERSON_KEYS = [
    (IdentityRules(), "a.nn+x@googlemail.com", "a.nn+x@googlemail.com"),
    (PLUS, "ann+news@x.de", "ann@x.de"),
    (PLUS, "ann+a+b@x.de", "ann@x.de"),
    (PLUS, "ann+@x.de", "ann@x.de"),
    (PLUS, "ann@x.de", "ann@x.de"),
    (PLUS, "änn+ü@x.de", "änn@x.de"),
    (PLUS, "a.nn+x@gmail.com", "a.nn@gmail.com"),
    # Nothing, or no address, would be left.
    (PLUS, "+1@x.de", "+1@x.de"),
    (PLUS, "+1+2@x.de", "+1+2@x.de"),
    (PLUS, "ann.+x@x.de", "ann.+x@x.de"),
    (DOTS, "a.n.n@gmail.com", "ann@gmail.com"),
    (DOTS, "a.nn@googlemail.com", "ann@gmail.com"),
    (DOTS, "a.nn+x.y@gmail.com", "ann+xy@gmail.com"),
    (DOTS, "a.nn@x.de", "a.nn@x.de"),
    (DOTS, "a.nn@notgmail.com", "a.nn@notgmail.com"),
    (DOTS, "a.nn@mail.gmail.com", "a.nn@mail.gmail.com"),
    (DOTS, "gmail.com@x.de", "gmail.com@x.de"),
    (OWN, "ann@example.com", "ann@example.org"),
    (OWN, "ann@xn--bcher-kva.example", "ann@example.org"),
    (OWN, "ann@example.org", "ann@example.org"),
    (OWN, "ann@my-example.com", "ann@my-example.com"),
    (OWN, "ann@sub.example.com", "ann@sub.example.com"),
    (OWN, "example.com@x.de", "example.com@x.de"),
    (ALL, "a.n.n.+x@googlemail.com", "ann@gmail.com"),
    (ALL, "a.nn+x@example.com", "a.nn@example.org"),
]
ROLES = IdentityRules(role_addresses=("Info", "no.reply", "büro", "a|b", "x{1}", "o'hara", "$", "Sales@Bücher.de"))
ROLE_CASES = [
    (IdentityRules(), "info@x.de", True),
    (IdentityRules(), "info+ann@x.de", True),
    (IdentityRules(), "büro@x.de", True),
    (IdentityRules(), "no-reply@x.de", True),
    (IdentityRules(), "ann@info.de", False),
    (IdentityRules(), "ann.info@x.de", False),
    (IdentityRules(), "info.ann@x.de", False),
    (IdentityRules(), "infos@x.de", False),
    (IdentityRules(), "ann+info@x.de", False),
    (IdentityRules(), "+info@x.de", False),
    (ROLES, "info@x.de", True),
    (ROLES, "no.reply@x.de", True),
    (ROLES, "noxreply@x.de", False),
    (ROLES, "a|b@x.de", True),
    (ROLES, "a@x.de", False),
    (ROLES, "b@x.de", False),
    (ROLES, "x{1}@x.de", True),
    (ROLES, "x@x.de", False),
    (ROLES, "o'hara@x.de", True),
    (ROLES, "$@x.de", True),
    (ROLES, "sales@xn--bcher-kva.de", True),
    (ROLES, "sales+x@xn--bcher-kva.de", True),
    (ROLES, "sales@x.de", False),
    (ROLES, "sales@xn--bcher-kva.de.example.org", False),
    (ROLES, "presales@xn--bcher-kva.de", False),
    (ROLES, "contact@x.de", False),
    (IdentityRules(role_addresses=()), "info@x.de", False),
]


def on_duckdb(expression: Callable[[Any, IdentityRules], Any], keys: Sequence[str | None], rules: IdentityRules) -> Any:
    table = in_memory({"place": [f"{place:09d}" for place in range(len(keys))], "key": keys})
    ordered = table.select("place", result=expression(table.key, rules)).order_by("place")
    with connect() as connection:
        return [row["result"] for row in collect(connection, ordered)]


@pytest.mark.parametrize(("rules", "key", "expected"), PERSON_KEYS, ids=[ascii(case[1]) for case in PERSON_KEYS])
def test_person_key(rules: IdentityRules, key: str, expected: str) -> None:
    assert person_key(key, rules) == expected
    assert email_key(key) == key, "the table holds email keys"
    assert email_key(expected) == expected


@pytest.mark.parametrize(("rules", "key", "expected"), ROLE_CASES, ids=[ascii(case[1]) for case in ROLE_CASES])
def test_is_role_address(rules: IdentityRules, key: str, expected: bool) -> None:
    assert is_role_address(key, rules) is expected
    assert email_key(key) == key, "the table holds email keys"


def test_the_expressions_agree_with_the_tables() -> None:
    for rules in (IdentityRules(), PLUS, DOTS, OWN, ALL):
        keys = [key for _, key, _ in PERSON_KEYS]
        assert on_duckdb(person_key_expr, [*keys, None], rules) == [*(person_key(key, rules) for key in keys), None]
    for rules in (IdentityRules(), ROLES, IdentityRules(role_addresses=())):
        keys = [key for _, key, _ in ROLE_CASES]
        assert on_duckdb(is_role_expr, [*keys, None], rules) == [*(is_role_address(key, rules) for key in keys), False]


def test_without_a_rule_the_engine_has_nothing_to_compute() -> None:
    column = ibis.table({"key": "string"}, name="leads").key
    assert person_key_expr(column, IdentityRules()) is column


@pytest.mark.parametrize("dialect", ["duckdb", "pyspark", "snowflake", "bigquery", "trino", "postgres"])
def test_the_expressions_compile_everywhere(dialect: str) -> None:
    leads = ibis.table({"key": "string"}, name="leads")
    rules = msgspec.structs.replace(ALL, role_addresses=ROLES.role_addresses)
    sql = str(ibis.to_sql(leads.select(x=person_key_expr(leads.key, rules), y=is_role_expr(leads.key, rules)), dialect))
    assert "xn--bcher-kva.example" in sql
    # Dialects read it differently within a literal; here it only ever keeps a quote.
    assert "\\" not in sql.replace("\\'", "'")


locals_ = st.lists(
    st.sampled_from(["a", "nn", ".", "+", "ü", "info", "sales", "no.reply", "-"]), min_size=1, max_size=6
)
domains = st.sampled_from(
    ["gmail.com", "googlemail.com", "example.com", "example.org", "xn--bcher-kva.example", "xn--bcher-kva.de", "x.de"]
)
keys = st.builds(lambda local, domain: email_key(f"{''.join(local)}@{domain}"), locals_, domains).filter(bool)
rule_sets = st.builds(
    IdentityRules,
    plus_tags=st.booleans(),
    gmail_dots=st.booleans(),
    domain_aliases=st.sampled_from([{}, OWN.domain_aliases]),
    role_addresses=st.sampled_from([DEFAULT_ROLE_ADDRESSES, ROLES.role_addresses]),
)


@given(keys, rule_sets)
def test_a_person_key_is_an_email_key_and_its_own_person_key(key: str, rules: IdentityRules) -> None:
    person = person_key(key, rules)
    assert email_key(person) == person
    assert person_key(person, rules) == person


@settings(max_examples=25, deadline=None)
@given(st.lists(keys, min_size=1, max_size=40), rule_sets)
def test_the_expressions_agree_with_python(keys: list[str], rules: IdentityRules) -> None:
    assert on_duckdb(person_key_expr, keys, rules) == [person_key(key, rules) for key in keys]
    assert on_duckdb(is_role_expr, keys, rules) == [is_role_address(key, rules) for key in keys]


@pytest.mark.parametrize(
    ("entries", "path", "named"),
    [
        ({"domain_aliases": {"x": "x.de"}}, ("domain_aliases", "x"), "'x' is no domain"),
        ({"domain_aliases": {"x.de": ""}}, ("domain_aliases", "x.de"), "'' is no domain"),
        ({"domain_aliases": {"ann@x.de": "y.de"}}, ("domain_aliases", "ann@x.de"), "'ann@x.de' is no domain"),
        ({"domain_aliases": {"x> <a@y.de": "y.de"}}, ("domain_aliases", "x> <a@y.de"), "is no domain"),
        ({"domain_aliases": {"x.de": "x.de"}}, ("domain_aliases", "x.de"), "alias of its own"),
        ({"domain_aliases": {"x.de": "y.de", "y.de": "z.de"}}, ("domain_aliases", "x.de"), "'y.de'"),
        ({"domain_aliases": {"x.de": "y.de", "Y.de": "x.de"}}, ("domain_aliases", "x.de"), "alias of its own"),
        (
            {"domain_aliases": {"bücher.de": "y.de", "XN--bcher-kva.de": "z.de"}},
            ("domain_aliases", "XN--bcher-kva.de"),
            "'bücher.de' are the same domain",
        ),
        ({"domain_aliases": {"x.de": "GMAIL.com"}, "gmail_dots": True}, ("domain_aliases", "x.de"), "gmail_dots"),
        (
            {"domain_aliases": {"googlemail.com": "x.de"}, "gmail_dots": True},
            ("domain_aliases", "googlemail.com"),
            "dots",
        ),
        ({"role_addresses": ("info", "")}, ("role_addresses", 1), "''"),
        ({"role_addresses": ("in fo",)}, ("role_addresses", 0), "'in fo'"),
        ({"role_addresses": ("@x.de",)}, ("role_addresses", 0), "'@x.de'"),
        ({"role_addresses": ("a^b",)}, ("role_addresses", 0), "'a^b'"),
        ({"role_addresses": ("info+x",)}, ("role_addresses", 0), "'info+x'"),
        ({"match_on": ()}, ("match_on",), "'email' is missing"),
        ({"match_on": ("phone",)}, ("match_on",), "'email' is missing"),
        ({"match_on": ("email", "email")}, ("match_on", 1), "'email'"),
        ({"match_on": ("email", "name")}, ("match_on", 1), "'name'"),
        ({"phone_region": "Germany"}, ("phone_region",), "'Germany'"),
        ({"phone_region": "ZZ"}, ("phone_region",), "'ZZ'"),
        ({"phone_region": ""}, ("phone_region",), "''"),
        ({"max_emails_per_phone": 0}, ("max_emails_per_phone",), "1 or more"),
    ],
    ids=repr,
)
def test_a_wrong_rule_is_named(entries: dict[str, Any], path: tuple[str | int, ...], named: str) -> None:
    with pytest.raises(RulesError) as caught:
        IdentityRules(**entries)
    assert caught.value.path == path
    assert named in str(caught.value)
    assert str(caught.value).startswith(f"{path[0]}: ")


def test_rules_are_kept_in_the_spelling_of_keys() -> None:
    rules = IdentityRules(
        domain_aliases={" Bücher.DE ": "Example.ORG."}, role_addresses=(" Info ", "Ann@BÜCHER.de"), phone_region=" de "
    )
    assert rules.domain_aliases == {"xn--bcher-kva.de": "example.org"}
    assert rules.role_addresses == ("info", "ann@xn--bcher-kva.de")
    assert rules.phone_region == "DE"
    assert msgspec.convert(msgspec.to_builtins(rules), IdentityRules) == rules


def test_the_role_addresses_that_come_with_it_are_usable_as_they_are() -> None:
    # A copy, which is checked as what a user writes is.
    copied = (*DEFAULT_ROLE_ADDRESSES[:1], *DEFAULT_ROLE_ADDRESSES[1:])
    assert IdentityRules(role_addresses=copied).role_addresses == DEFAULT_ROLE_ADDRESSES
    assert len(set(DEFAULT_ROLE_ADDRESSES)) == len(DEFAULT_ROLE_ADDRESSES)
    assert {"info", "kontakt", "noreply", "no-reply", "test", "unbekannt"} <= set(DEFAULT_ROLE_ADDRESSES)
