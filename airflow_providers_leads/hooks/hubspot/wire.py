"""HubSpot's own ways in an HTTP conversation: how its lists are paged.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from airflow_providers_leads.http.pagination import CursorPages

list_pages: Final[Callable[..., CursorPages]] = partial(
    CursorPages, rows_at="results", cursor_at="paging.next.after", param="after"
)
"""Any list of HubSpot, from its first page or from ``cursor``."""
