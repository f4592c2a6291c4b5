"""How people are shown: masked, unless the page was asked for unmasked by somebody who may."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from airflow_providers_leads.report.masking import mask_address, mask_addresses, mask_value, visible
from airflow_providers_leads.report.page import words
from airflow_providers_leads.report.rows import PersonRow

_SHORT: Final = 120
"""Letters of a value in a table; the person's own page has all."""


@dataclass(frozen=True, slots=True)
class View:
    """How a page is shown.

    :param shown: addresses and values as they are; whoever made this true has written it down
    :param may_unmask: the user may ask for that
    """

    shown: bool = False
    may_unmask: bool = False

    def who(self, address: str) -> str:
        """Return an address as it may be shown."""
        return visible(address if self.shown else mask_address(address))

    def value(self, value: str | None, most: int | None = _SHORT) -> str:
        """Return a value as it may be shown, an empty text for none."""
        if not value:
            return ""
        return visible(value if self.shown else mask_value(value), most)

    def text(self, text: str | None) -> str:
        """Return a reason as it may be shown: it should hold no address, but may be a vendor's."""
        if not text:
            return ""
        return visible(words(text) if self.shown else mask_addresses(words(text)), 400)


def segment(text: str) -> str:
    """Return a text as one segment of an address."""
    return quote(text, safe="")


def reason_code(reason: str) -> str:
    """Return what stands for a reason in an address: addresses are logged, and a reason is another's text."""
    return hashlib.sha256(reason.encode()).hexdigest()[:12]


def person_line(row: PersonRow, view: View, most: int | None = _SHORT) -> dict[str, Any]:
    """Return a row as it may be shown."""
    return {
        "place": str(row.place),
        "who": view.who(row.email_key),
        "action": visible(row.action or ""),
        "outcome": visible(row.outcome or ""),
        "reason": view.text(row.reason),
        "target_id": visible(row.target_id or ""),
        "request_id": visible(row.request_id or ""),
        "records": row.records,
        "changes": [
            (visible(words(change.field), 80), view.value(change.before, most), view.value(change.after, most),
             change.written)
            for change in row.changes
        ],
    }  # fmt: skip
