"""Perspective's own ways in an HTTP conversation: how its list of contacts is paged, and how long it asks to wait.

https://developers.perspective.co
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.hints import reset_header, retry_after_header, wait_at
from airflow_providers_leads.http.pagination import NumberedPages

contact_pages: Final[Callable[..., NumberedPages]] = partial(
    NumberedPages, rows_at="data", more_at=("meta.hasNext",), first=0, total_at="meta.total", size_at="meta.limit"
)
"""The contacts of a funnel; ``ordered`` where they come by the time of their conversion."""

QUOTAS: Final[Mapping[str, tuple[int, float]]] = {"default": (100, 60.0)}
# Quotas count by the minute.
_WINDOW: Final = 65.0
DIALECT: Final = Dialect(
    waits=(partial(wait_at, path="retryAfter"), retry_after_header, partial(reset_header, longest=_WINDOW)),
)
