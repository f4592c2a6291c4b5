from __future__ import annotations

import re

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.leads.model import phones as module
from airflow_providers_leads.leads.model.phones import phone_key, phone_keys

SAME_NUMBER = [
    ("+493023125000", None, "+493023125000"),
    ("+493023125000", "US", "+493023125000"),
    ("+49 30 23125-000", None, "+493023125000"),
    ("+49 (0)30 / 23125 000", None, "+493023125000"),
    ("+4903023125000", None, "+493023125000"),
    ("0049 30 23125000", "DE", "+493023125000"),
    ("011 49 30 23125000", "US", "+493023125000"),
    ("030 23125000", "DE", "+493023125000"),
    ("(030) 23 125 000", "DE", "+493023125000"),
    ("\u00a0030\u2009231\u201125000 ", "DE", "+493023125000"),
    ("\u202a+49 30 23125\u200b000\u202c", None, "+493023125000"),
    ("\uff0b\uff14\uff19 30 23125000", None, "+493023125000"),
    ("tel:+49-30-23125000", None, "+493023125000"),
    ("030 23125000 ext. 12", "DE", "+493023125000"),
    ("+49 30 23125000;ext=12", None, "+493023125000"),
    ("202-555-0123 x5", "US", "+12025550123"),
    ("(202) 555-0123", "US", "+12025550123"),
    ("1 (202) 555 0123", "US", "+12025550123"),
    ("+39 06 69812345", None, "+390669812345"),
    ("8 (912) 345-67-89", "RU", "+79123456789"),
    ("+7 912 345-67-89", "DE", "+79123456789"),
]
NO_NUMBER = [
    (None, "DE"), ("", "DE"), (" ", "DE"), ("n/a", "DE"), ("-", "DE"), ("+", "DE"), ("030 23125000", None),
    ("0000000", "DE"), ("+49000000000", None), ("+49 000 000 000", None), ("1234", "DE"), ("110", "DE"),
    ("+999 1234567", None), ("+4930", None), ("+49 30 23125000 23125000 23125000", None), ("9" * 300, "DE"),
    ("030 23125000", "ZZ"), ("\ud800", "DE"), ("ann@example.org", "DE"), ("+1 555 0123", None),
]  # fmt: skip


@pytest.mark.parametrize(("phone", "region", "key"), SAME_NUMBER, ids=ascii)
def test_every_spelling_of_a_number_gives_one_key(phone: str, region: str | None, key: str) -> None:
    assert phone_key(phone, region) == key


@pytest.mark.parametrize(("phone", "region"), NO_NUMBER, ids=lambda value: ascii(value)[:40])
def test_what_nobody_can_call_gives_no_key(phone: str | None, region: str | None) -> None:
    assert phone_key(phone, region) is None


@pytest.mark.parametrize("wrapped", [list, tuple, pa.array, lambda phones: pa.chunked_array([phones[:3], phones[3:]])])
def test_many_numbers_at_once(wrapped: type) -> None:
    phones = ["030 23125000", None, "", "+49 30 23125000", "n/a", "030 23125000", None]
    berlin = "+493023125000"
    assert phone_keys(wrapped(phones), "DE") == [berlin, None, None, berlin, None, berlin, None]
    assert phone_keys(wrapped(phones)) == [None, None, None, berlin, None, None, None]
    assert phone_keys(wrapped(phones)[:0], "DE") == []


def test_a_column_without_any_number() -> None:
    assert phone_keys(pa.nulls(3), "DE") == [None] * 3


written = st.one_of(
    st.text(max_size=30),
    st.text("0123456789+-()/ x.", max_size=20),
    st.from_regex(r"\A\+(49|1|44|39|7|52|54|36|33|41|43)[0-9]{6,11}\Z"),
    st.from_regex(r"\A(\+4930|0 30|0171 )[1-9][0-9]{6}\Z"),
    st.from_regex(r"\A(\+1|1|)[ -]?202[2-9][0-9]{6}\Z"),
)
regions = st.sampled_from([None, "DE", "US", "IT", "MX"])


# The library loads a country's plan when it first meets it.
@settings(deadline=None)
@given(written, regions, regions)
def test_a_key_is_its_own_key_whatever_the_region(phone: str, region: str | None, other: str | None) -> None:
    key = phone_key(phone, region)
    if key is not None:
        assert re.fullmatch(r"\+[1-9][0-9]{5,14}", key)
        assert phone_key(key, other) == key


@settings(deadline=None)
@given(st.lists(st.none() | written, max_size=8), regions)
def test_many_numbers_give_what_each_gives(phones: list[str | None], region: str | None) -> None:
    assert phone_keys(phones, region) == [phone_key(phone, region) for phone in phones]


COUNTRY_CODES = st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
EXAMPLES = [
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in phonenumbers.PhoneNumberType.values()
    if (number := phonenumbers.example_number_for_type(region, kind))
]


def by_the_library(phone: str) -> str | None:
    try:
        number = phonenumbers.parse(phone, None)
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if valid else None


def test_the_short_way_is_the_library_s_for_every_country() -> None:
    # Each also with a digit too many, too few, and with the prefixes that are dialled within a country.
    changed = [other for phone in EXAMPLES for other in (phone, phone + "0", phone[:-1])]
    changed += [
        f"+{code}{trunk}{phone[1 + len(str(code)) :]}"
        for phone in EXAMPLES
        for code in [country_code(phone)]
        for trunk in "0189"
    ]
    assert len(EXAMPLES) > 1000
    assert [phone for phone in changed if phone_key(phone) != by_the_library(phone)] == []
    assert sum(module._is_key(phone[1:]) for phone in EXAMPLES) > 0.8 * len(EXAMPLES)


def country_code(phone: str) -> int:
    return int(phonenumbers.parse(phone, None).country_code or 0)


@settings(deadline=None)
@given(COUNTRY_CODES, st.from_regex(r"\A[0-9]{4,12}\Z"))
def test_the_short_way_is_the_library_s_for_any_digits(code: int, rest: str) -> None:
    assert phone_key(f"+{code}{rest}") == by_the_library(f"+{code}{rest}")
