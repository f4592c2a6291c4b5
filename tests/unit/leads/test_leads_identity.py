from __future__ import annotations

import string
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_providers_leads.leads.identity import domain_of, email_key, reject_reason

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
