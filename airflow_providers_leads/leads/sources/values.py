"""Cells of people's tables as the values that were meant: what spreadsheets did to them is undone where it can be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from airflow_providers_leads.leads.files.columns import absent, constant, moments, patched, strings, truth
from airflow_providers_leads.leads.model.schema import moment

_NOTHING: Final = (
    "NULL", "null", "(null)", "<null>", "\\N", "NaN", "nan", "N/A", "n/a", "#N/A", "#NV", "#REF!", "#BEZUG!", "#VALUE!",
    "#WERT!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#ZAHL!", "-", "--", "k.A.", "k. A.", "k.a.",
    "0000-00-00", "0000-00-00 00:00:00",
)  # fmt: skip
"""How programs write that there is nothing."""
# A spreadsheet's mark for "this is text", or for "this is no formula"; 's-Hertogenbosch and 't Hooft begin so as well.
_MARKED: Final = r"^'[-+=@0-9]|^=\"[^\"]*\"$"
_UNMARKED: Final = re.compile(r'=?"([^"]*)"|\'(.*)', re.DOTALL)
# What copying from web pages leaves around a text, and nobody sees. Within a text such characters may be meant.
_UNSEEN: Final = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
_UNSEEN_ENDS: Final = f"^[{_UNSEEN}]|[{_UNSEEN}]$"
_UNSEEN_BYTES: Final = (b"\xc2\xad", b"\xe2\x80", b"\xe2\x81", b"\xef\xbb\xbf")
_AROUND: Final = re.compile(f"^[\\s{_UNSEEN}]+|[\\s{_UNSEEN}]+$")
_WRAPPED_ADDRESS: Final = r"(?i)^mailto:|^'|^\"|[,;.'\"]$"
# What programs write before a number: lead ads "p:", links "tel:", spreadsheets "=" where it begins with a plus.
_LABEL: Final = r"(?i)^(?:(?:p|tel|phone):|=)\s*"
_POWER: Final = r"^[+-]?\d+(?:[.,]\d*)?[eE][+-]?\d+$|^\d+[.,]00?$|^[1-9]\d{3,}0{7}(?:[.,]00?)?$"
# What is left of a phone number once a workbook has read 4.93E+11 out of a CSV: no number ends in so many zeros.
_ZEROS: Final = re.compile(r"[1-9]\d{3,}0{7}(?:[.,]00?)?")
_FLOAT: Final = re.compile(r"([+-]?)(\d+)(?:[.,](\d*))?(?:[eE]([+-]?\d+))?")

_NEVER: Final = 3000
_NO: Final = (
    "false", "0", "no", "n", "nein", "falsch", "f", "off", "never", "nie", "none", "kein", "keine", "nicht", "0.0",
    "0,0", "aktiv", "active", "non", "não", "nao", "nee", "nej", "nei", "ne", "falso", "faux", "onwaar", "falsk",
    "falskt", "usann", "fałsz", "epätosi", "ei", "hamis", "nem", "nepravda", "fals", "nu", "ложь", "нет",
)  # fmt: skip
_YES: Final = (
    "true", "1", "yes", "y", "ja", "j", "wahr", "t", "on", "x", "✓", "✔", "☑", "1.0", "1,0", "ok", "confirmed",
    "bestätigt", "erteilt", "granted", "given", "subscribed", "opted in", "opted-in", "opted_in", "opt-in", "opt in",
    "optin", "angemeldet", "abonniert", "sí", "si", "sì", "oui", "sim", "tak", "vrai", "vero", "verdadero", "waar",
    "verdadeiro", "sant", "sann", "sand", "prawda", "tosi", "igaz", "igen", "pravda", "ano", "adevărat", "da", "истина",
    "да",
)  # fmt: skip
_IN: Final = ("subscribed", "opted in", "opted-in", "opted_in", "opt-in", "opt in", "optin", "angemeldet", "abonniert")
_OUT: Final = (
    "unsubscribed", "unsubscribe", "opted out", "opted-out", "opted_out", "opt-out", "opt out", "optout", "abgemeldet",
    "abmeldung", "ausgetragen", "do not contact", "do_not_contact", "donotcontact", "dnc", "widerrufen", "widerruf",
    "widersprochen", "widerspruch", "gesperrt", "blocked", "blacklisted", "suppressed", "complained", "spam complaint",
    "revoked", "withdrawn", "nicht kontaktieren", "keine werbung", "kein newsletter", "non-subscribed", "nonsubscribed",
    "not subscribed",
)  # fmt: skip
# Whoever says no in more words than one, or adds to a word that says so ("nein danke", "Unsubscribed on 3 May").
_BEGINS_NO: Final = r"^(no|nope|nein|nö|non|não|nao|nee|nej|nei|nie|not|nicht)([ ,;.!-]|$)|^[✗✘❌✖☐🚫]"
# Nobody has said anything.
_UNSAID: Final = (
    r"^(not|nicht) (specified|asked|set|known|available|applicable|provided|recorded|angegeben|gefragt|bekannt"
    r"|vorhanden|erfasst|gesetzt)|^no (data|info|information|answer|response|value|entry|record)"
)
_BEGINS_OUT: Final = (
    r"^(unsubscrib|opt(ed|ing)?[ _-]?out|abgemeldet|abmeldung|ausgetragen|widerruf|widersproch|widerspruch"
    r"|do[ _]?not[ _]?(contact|e?-?mail|market)|nicht (kontaktieren|anschreiben|anmailen)"
    r"|keine? (werbung|newsletter|e?-?mail)"
    r"|dad[oa] de baja|baja$|desuscrit|no (contactar|enviar)|d[ée]sabonn|d[ée]sinscrit|ne pas contacter"
    r"|disiscritt|non contattare|uitgeschreven|afgemeld|niet (contacteren|mailen|benaderen)|descadastrad"
    r"|n[ãa]o (contatar|contactar|enviar)|avmeldt|afmeldt|avregistrerad|wypisan)"
)
_UNCONFIRMED: Final = ("pending", "ausstehend", "offen", "unconfirmed", "unbestätigt", "denied", "abgelehnt", "refused")
_BOUNCED: Final = ("bounced", "hard", "hard bounce", "hard_bounce", "hardbounce", "cleaned", "unzustellbar", "invalid")
_PLACES: Final = r"^[01][.,]0+$"
_DATED: Final = r"^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|^\d{10,13}$"


def clean(column: pa.Array) -> pa.Array:
    """Return texts trimmed and freed of a spreadsheet's marks; null for what says that there is nothing."""
    # Most columns need nothing of what follows, and looking is cheaper than making them anew.
    column = pc.utf8_trim_whitespace(without_nul(column))
    if _may_hold(column, *_UNSEEN_BYTES):
        column = patched(column, pc.match_substring_regex(column, _UNSEEN_ENDS), column, _seen)
    empty = pc.equal(column, constant(""))
    if _any(empty):
        column = pc.if_else(empty, absent(column.type), column)
    nothing = pc.is_in(column, value_set=_nothing())
    if _any(nothing):
        column = pc.if_else(nothing, absent(column.type), column)
    if not _may_hold(column, b"'", b"="):
        return column
    return patched(column, pc.match_substring_regex(column, _MARKED), column, _unmarked)


def without_nul(column: pa.Array) -> pa.Array:
    """Return texts without NUL characters, which are left of another encoding and which many databases refuse."""
    return pc.replace_substring(column, "\0", "") if _any(pc.match_substring(column, "\0")) else column


def _seen(value: str) -> str:
    return _AROUND.sub("", value)


def _may_hold(column: pa.Array, *pieces: bytes) -> bool:
    """Tell whether the memory of a column of text has one of some bytes in it: certain only when it hasn't."""
    data = column.buffers()[2]
    whole = data.to_pybytes() if data is not None else b""
    return any(piece in whole for piece in pieces)


@cache
def _nothing() -> pa.Array:
    return strings(_NOTHING)


def _any(flags: pa.Array) -> bool:
    return bool(pc.any(flags).as_py())


def _unmarked(value: str) -> str | None:
    found = _UNMARKED.fullmatch(value)
    return ((found[1] if found[1] is not None else found[2]).strip() or None) if found else value


def addresses(column: pa.Array) -> pa.Array:
    """Return addresses freed of what they were copied with."""
    wrapped = pc.match_substring_regex(column, _WRAPPED_ADDRESS)
    return patched(column, wrapped, column, _unwrapped) if _any(wrapped) else column


def _unwrapped(value: str) -> str | None:
    plain = value
    if linked := re.match(r"(?i)mailto:([^?]*)", value):
        # In a link characters are escaped, and a subject may follow.
        plain = unquote(linked[1])
    plain = plain.strip().rstrip(",;. ")
    while len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "'\"":
        plain = plain[1:-1].strip()
    return plain.lstrip("'\"") or None


def phones(column: pa.Array) -> tuple[pa.Array, int]:
    """Return phone numbers of which no digit is lost, and how many were left out because some are.

    ``4.93E+11`` is a number that a spreadsheet has rounded: which one it was, nobody knows.
    """
    labelled = pc.match_substring_regex(column, _LABEL)
    if _any(labelled):
        column = patched(column, labelled, column, lambda value: re.sub(_LABEL, "", value) or None)
    floats = pc.match_substring_regex(column, _POWER)
    if not _any(floats):
        return column, 0
    made = patched(column, floats, column, _whole)
    return made, made.null_count - column.null_count


def postal_codes(column: pa.Array) -> pa.Array:
    """Return postal codes without the places that a program gives to columns of numbers: ``1067.0`` is 1067."""
    numbers = pc.match_substring_regex(column, r"^\d+[.,]0$")
    return patched(column, numbers, column, lambda value: value[:-2]) if _any(numbers) else column


def _whole(value: str) -> str | None:
    """Return a number as a spreadsheet's float holds it written out, ``None`` when digits of it are lost."""
    found = _FLOAT.fullmatch(value)
    if found is None:
        return value
    if _ZEROS.fullmatch(value):
        return None
    sign, whole, rest, power = found[1], found[2], found[3] or "", int(found[4] or 0)
    if found[4] is None and (whole.startswith("0") or rest not in ("0", "00")):
        # Dots between groups of digits are how phones are written.
        return value
    if power < 0 or power > 20 or (power and len(rest) < power):
        return None
    if (power and len(whole) + power > 15) or rest[power:].strip("0"):
        # A float holds no more digits than these.
        return None
    return f"{sign if sign == '+' else ''}{whole}{rest[:power]}"


def consent(column: pa.Array, kind: str) -> pa.Array:
    """Return what a column says of who must not be mailed: true, false, or null where it doesn't say.

    Any other word where people are marked who opted out marks them: their own words for it are many.

    :param column: cleaned texts
    :param kind: ``out``, ``in`` or ``status``
    """
    words = _words(column)
    none = pa.nulls(len(column), pa.bool_())
    if kind == "out":
        marked = pc.invert(pc.is_in(words, value_set=strings([*_NO, *_IN])))
        return pc.if_else(pc.is_valid(words), marked, none)
    out = pc.or_(pc.is_in(words, value_set=strings([*_OUT])), _begins(words, _BEGINS_OUT))
    if kind == "in":
        out = pc.or_(out, pc.is_in(words, value_set=strings([*_NO, *_UNCONFIRMED])))
        out = pc.or_(out, pc.and_not(_begins(words, _BEGINS_NO), _begins(words, _UNSAID)))
        agreed = pc.or_kleene(
            pc.is_in(words, value_set=strings(_YES)), pc.match_substring_regex(words, _DATED).fill_null(truth(False))
        )
        return pc.if_else(out, truth(True), pc.if_else(agreed, truth(False), none))
    return pc.if_else(out, truth(True), none)


def _begins(words: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(words, pattern).fill_null(truth(False))


def _words(column: pa.Array) -> pa.Array:
    """Return words in small letters, and 0 and 1 as such however many places a database gives them."""
    words = pc.utf8_lower(column)
    numbers = pc.match_substring_regex(words, _PLACES)
    return patched(words, numbers, words, lambda value: value[:1]) if _any(numbers) else words


def any_true(columns: Iterable[pa.Array], length: int) -> pa.Array:
    """Return true where any column is true, else false where any is false."""
    result: pa.Array | None = None
    for column in columns:
        if result is None:
            result = column
        else:
            true = pc.or_(result.fill_null(truth(False)), column.fill_null(truth(False)))
            result = pc.if_else(true, truth(True), pc.coalesce(result, column))
    return pa.nulls(length, pa.bool_()) if result is None else result


def bounces(column: pa.Array, *, reasons: bool = False) -> pa.Array:
    """Return whether mail to somebody came back, null where a column doesn't say.

    :param column: cleaned texts
    :param reasons: it says why mail came back: any word but a no is one
    """
    words = _words(column)
    if reasons:
        said = pc.invert(pc.is_in(words, value_set=strings(_NO)))
        return pc.if_else(pc.is_valid(words), said, pa.nulls(len(column), pa.bool_()))
    true = pc.or_(
        pc.is_in(words, value_set=strings([*_YES, *_BOUNCED])),
        # When it came back, or how often.
        pc.match_substring_regex(words, rf"{_DATED}|^[1-9]\d{{0,3}}$").fill_null(truth(False)),
    )
    false = pc.is_in(words, value_set=strings(_NO))
    none = pa.nulls(len(column), pa.bool_())
    return pc.if_else(true, truth(True), pc.if_else(false, truth(False), none))


# Times ---------------------------------------------------------------------------------------------------------------

ORDERS: Final = ("dmy", "mdy", "ymd")
_NUMBERS: Final = re.compile(
    r"(\d{1,4})([-./])\s?(\d{1,2})[-./]\s?(\d{1,4})"
    r"(?:(?:[ T,]+|\s*um\s*)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?(?:\s*(?:Uhr|UTC|GMT|Z))?)?"
)
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d")
_WITH_MONTH: Final = re.compile(
    r"(?:[A-Za-zäÄ]+,?\s+)??(?:(\d{1,2})\.?\s+([A-Za-zäÄ]{3,9})\.?|([A-Za-zäÄ]{3,9})\.?\s+(\d{1,2}),?)\s+(\d{4})"
    r"(?:(?:[ ,]+|\s+at\s+|\s+um\s+)(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp]\.?[Mm]\.?)?(?:\s*(?:Uhr|UTC|GMT|Z))?)?"
)
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär mae", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), 1
    )
    for name in names.split()
}
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# The number by which a spreadsheet counts a day is left of it where a cell is not shown as one. Outside of this century
# it may mean something else.
_SERIAL: Final = re.compile(r"\d{5}(?:[.,]\d+)?")
_SERIALS: Final = range(36_526, 73_051)
_DAY_ZERO: Final = datetime(1899, 12, 30, tzinfo=UTC)


def date_order(values: Iterable[str | None]) -> str | None:
    """Return the order in which dates are written, ``None`` when some fit no one order, or none tells.

    ``03/04/2026`` is in March or in April; ``13.04.2026`` and ``04/13/2026`` tell for all others of their column.

    :param values: of one column
    """
    orders: set[str] = set()
    undecided = False
    for value in values:
        found = _NUMBERS.fullmatch(value) if value else None
        if found is None or len(found[1]) == 4:
            continue
        first, second = int(found[1]), int(found[3])
        if first > 12 or second > 12:
            orders.add("dmy" if first > 12 else "mdy")
        elif found[2] == ".":
            # Only Europe writes dots.
            orders.add("dmy")
        elif found[8]:
            orders.add("mdy")
        else:
            undecided = undecided or first != second
    if len(orders) == 1:
        return orders.pop()
    return "ymd" if not orders and not undecided else None


def times(column: pa.Array, order: str | None) -> tuple[pa.Array, pa.Array]:
    """Return times, and the texts that are none.

    Without an offset UTC is meant.

    :param column: cleaned texts
    :param order: of days, months and years, from :func:`date_order`
    """
    distinct = pc.unique(column)
    by_text: dict[str, datetime | None] = {}
    for value in distinct.to_pylist():
        if value is not None:
            at = read_time(value, order)
            # The last day of 9999 stands for "never", and as the time of a change would win for good.
            by_text[value] = None if at is None or at.year >= _NEVER else at
    made = strings([(t.isoformat() if (t := by_text[v]) else None) if v else None for v in distinct.to_pylist()])
    where = pc.index_in(column, value_set=distinct)
    found = moments(made).take(where)
    return found, pc.if_else(pc.and_(pc.is_valid(column), pc.is_null(found)), column, absent(column.type))


def read_time(value: str, order: str | None) -> datetime | None:
    """Return the time that a text means, ``None`` when that isn't certain.

    :param value: trimmed
    :param order: see :func:`times`
    """
    if _SERIAL.fullmatch(value) and int(value[:5]) in _SERIALS:
        return _DAY_ZERO + timedelta(seconds=round(float(value.replace(",", ".")) * 86_400))
    if value.isdecimal():
        digits = len(value)
        if digits == 8 and value[:2] in ("19", "20"):
            return _made(int(value[:4]), int(value[4:6]), int(value[6:]), (None, None, None, None))
        if digits not in (10, 13):
            return None
        return _EPOCH + (timedelta(milliseconds=int(value)) if digits == 13 else timedelta(seconds=int(value)))
    # Whole, with its fractions of a second, by which what was changed last is told.
    if _ISO.match(value) and (exact := moment(value)) is not None:
        return exact
    if found := _NUMBERS.fullmatch(value):
        one, two, three = found[1], found[3], found[4]
        return _numbered(one, two, three, order, found.group(5, 6, 7, 8))
    if found := _WITH_MONTH.fullmatch(value):
        day, month = (found[1], found[2]) if found[1] else (found[4], found[3])
        number = _MONTHS.get(month.lower()[:3])
        return _made(int(found[5]), number, int(day), found.group(6, 7, 8, 9)) if number else None
    return moment(value) if value[:4].isdecimal() and len(value) >= 8 else None


def _numbered(one: str, two: str, three: str, order: str | None, clock: tuple[Any, ...]) -> datetime | None:
    if len(one) == 4:
        return _made(int(one), int(two), int(three), clock)
    first, second = int(one), int(two)
    if order not in ("dmy", "mdy"):
        if order is None and first != second:
            return None
        order = "dmy"
    day, month = (first, second) if order == "dmy" else (second, first)
    year = int(three)
    if len(three) == 2:
        year += 2000 if year < 70 else 1900
    return _made(year, month, day, clock)


def _made(year: int, month: int, day: int, clock: tuple[Any, ...]) -> datetime | None:
    hour, minute, second = (int(part or 0) for part in clock[:3])
    if half := (clock[3] or "").lower()[:1]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
