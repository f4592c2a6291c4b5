"""One self-contained HTML page from a template: no script, and nothing that is fetched."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.leads.files.staging import appearing, as_path

if TYPE_CHECKING:
    import jinja2

GENERATOR: Final = "airflow-providers-leads"
"""Stands in every page, so that one can be told from any other file."""

_WORDS: Final = {
    "no_email": "no address",
    "invalid_email": "address can't be used",
    "shared_mailbox": "address is shared by several people",
    "opted_out": "opted out",
    "bounced": "bounced",
    "suppression_list": "on a suppression list",
    "do_not_contact_domain": "do-not-contact domain",
    "not_in_crm": "not there",
    "pending": "not reached",
    "ambiguous": "unclear",
    "first_name": "first name",
    "last_name": "last name",
    "postal_code": "postal code",
}


def words(code: Any) -> str:
    """Return a word of the files in plain language."""
    text = str(code)
    return _WORDS.get(text) or (text.replace("_", " ") if text.isidentifier() and text.islower() else text)


_REASONS: Final = {
    "address_changed": "the person has another address elsewhere",
    "both_changed": "changed here and elsewhere, and the other value won",
    "cleared_elsewhere": "emptied, because somebody emptied it elsewhere",
    "cleared_here": "left empty, because somebody emptied it here",
    "deleted_here": "somebody deleted the record here",
    "edited_here": "left alone, because somebody changed it here",
    "erased": "the person was erased and stays out",
    "no_usable_address": "the address can't be used",
    "odd_address": "a record there has the address in an odd form, such as two in one field: mend it there",
    "secondary_address": "the address is a further one of a record there",
}
"""Reasons of a plan, which may be followed by the fields that they are about."""


def reason_words(reason: str) -> str:
    """Return a plan's reason in plain language; what a vendor says stays as it is."""
    parts = []
    for part in reason.split("; "):
        code, colon, fields = part.partition(": ")
        if code not in _REASONS:
            parts.append(words(part))
            continue
        named = ", ".join(words(name) for name in fields.split(", ")) if colon else ""
        parts.append(f"{named}: {_REASONS[code]}" if named else _REASONS[code])
    return "; ".join(parts)


def number(value: float) -> str:
    """Return a number with thousands apart, and decimals only where there are any."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0")


def percent(part: float, whole: float) -> str:
    """Return a share; small ones are not called nothing."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 10 or not share else "< 0.1 %" if share < 0.05 else f"{share:.1f} %"


def moment(time: datetime | str | None) -> str:
    """Return a time to the minute, in UTC."""
    if time is None:
        return "unknown"
    found = datetime.fromisoformat(time) if isinstance(time, str) else time
    return found.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC").lstrip("0")


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    whole = round(seconds)
    if 0 < seconds < 0.05:
        return "< 0.1 s"
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_providers_leads.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"words": words, "number": number, "moment": moment, "duration": duration}
    made.globals |= {"percent": percent, "generator": GENERATOR}
    return made


def render(template: str, **values: Any) -> str:
    """Return a page.

    :param template: name of the template without its ending
    :param values: what it shows; every text is escaped
    """
    return _environment().get_template(f"{template}.html.j2").render(**values)


def is_page(text: str) -> bool:
    """Tell whether a text is a page of this package and no other file."""
    return f'<meta name="generator" content="{GENERATOR}">' in text[:500]


def write_text(uri: Any, text: str) -> None:
    """Write a file that appears under its name only when it is complete, replacing an earlier one.

    :param uri: URI or path object; folders are made
    :param text: its content
    """
    with appearing(as_path(uri)) as part:
        part.write_bytes(text.encode())
