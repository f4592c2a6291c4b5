"""Perspective's own ways in an HTTP conversation: how its list of contacts is paged.

https://developers.perspective.co
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from airflow_providers_leads.http.pagination import NumberedPages

contact_pages: Final[Callable[..., NumberedPages]] = partial(
    NumberedPages, rows_at="data", more_at=("meta.hasNext",), first=0, total_at="meta.total", size_at="meta.limit"
)
"""The contacts of a funnel; ``ordered`` where they come by the time of their conversion."""
