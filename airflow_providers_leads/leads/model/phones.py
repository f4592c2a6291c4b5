"""One spelling for every way in which a phone number is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, Final

_FULL_FORM: Final = re.compile(r"\+([1-9][0-9]{6,14})", re.ASCII)


def phone_key(phone: str | None, region: str | None = None) -> str | None:
    """Return a phone number in E.164 form (``+493023125000``), ``None`` when it is no number that could be called.

    Extensions are dropped, see :func:`phone_keys`. Numbers that no country's plan has give ``None``, so that made-up
    ones (``0000000``) join nobody.

    :param phone: as a CRM holds it
    :param region: country of a number without country code, ISO 3166 alpha-2; ``None``: such a number is unusable
    """
    return _cached_key(phone, region) if phone else None


def phone_keys(phones: Any, region: str | None = None, *, extensions: bool = False) -> list[str | None]:
    """Return :func:`phone_key` of many numbers, each distinct one parsed once.

    :param phones: Arrow array or chunked array of text, or an iterable of text and ``None``
    :param region: see :func:`phone_key`
    :param extensions: true adds them (``+12127365000;ext=12``): behind one line there are other people
    :return: as long as ``phones``, in its order
    """
    listed: Iterable[str | None] = phones.to_pylist() if hasattr(phones, "to_pylist") else list(phones)
    # Not through the cache of single calls, which a large column would only churn.
    make = _line_key if extensions else _key
    keys = {phone: make(phone, region) if phone else None for phone in set(listed)}
    return [keys[phone] for phone in listed]


def _key(phone: str, region: str | None) -> str | None:
    full = _FULL_FORM.fullmatch(phone)
    return phone if full and _is_key(full.group(1)) else _library_key(phone, region)


def _is_key(digits: str) -> bool:
    """Tell whether digits with their country code are certainly what the library would return for them.

    It saves the library's parser, which is most of the work; false only means that the parser has to decide.
    """
    from phonenumbers import PhoneNumber, is_valid_number

    for length in (1, 2, 3):
        code, rest = int(digits[:length]), digits[length:]
        if prefix := _trunk_prefix(code):
            number = PhoneNumber(country_code=code, national_number=int(rest))
            return not prefix.match(rest) and is_valid_number(number)
    return False


@cache
def _trunk_prefix(code: int) -> re.Pattern[str] | None:
    """Return what the parser may take off a number of a country, ``None`` when there is no such country code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region(COUNTRY_CODE_TO_REGION_CODE.get(code, ("",))[0], None)
    # A leading zero is either taken off or kept as a property of the number.
    return re.compile(f"0|{metadata.national_prefix_for_parsing or 0}") if metadata else None


def _library_key(phone: str, region: str | None) -> str | None:
    from phonenumbers import PhoneNumberFormat, format_number

    number = _parsed(phone, region)
    return format_number(number, PhoneNumberFormat.E164) if number else None


def _line_key(phone: str, region: str | None) -> str | None:
    if _FULL_FORM.fullmatch(phone) or not (key := _key(phone, region)):
        return _key(phone, region)
    number = _parsed(phone, region)
    return f"{key};ext={number.extension}" if number and number.extension else key


def _parsed(phone: str, region: str | None) -> Any:
    """Return a number that could be called, ``None`` when it is none."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        # The library knows many spaces, but not all that Python does.
        number = parse(" ".join(phone.split()), region)
    except NumberParseException:
        return None
    return number if is_valid_number(number) else None


_cached_key = lru_cache(maxsize=65536)(_key)
