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
from airflow_providers_leads.http.problems import ProblemForm

contact_pages: Final[Callable[..., NumberedPages]] = partial(
    NumberedPages, rows_at="data", more_at=("meta.hasNext",), first=0, total_at="meta.total", size_at="meta.limit"
)
"""The contacts of a funnel; ``ordered`` where they come by the time of their conversion."""

QUOTAS: Final[Mapping[str, tuple[int, float]]] = {"default": (100, 60.0)}
# Quotas count by the minute.
_WINDOW: Final = 65.0
CURES: Final[Mapping[str, str]] = {
    "email or phone|(?:email|phone).*required": "Give an address or a phone number.",
    "email": "Correct the address where it comes from.",
    "phone": "Correct the phone number where it comes from.",
    "status": "Give a status of the funnel as it is spelt there; no endpoint lists them.",
    "reserved|ps_": "Perspective alone fills names that begin with ps_: leave this field out.",
    "abTest": "Only chart_page_to_page_conversion_rate takes ab_test: leave it out.",
    "not allowed on create": "Write these fields by an update, once the contact is there.",
    "unknown (?:field|key)": "Leave this field out, or write it as a custom property by an update.",
    "(?:kpi|insight|chart) not found": "Check the name; the editor's side panel has the ids of insights. A funnel "
    "without data may answer so too: empty_on_not_found takes it for nothing.",
    "funnel not found": "Check the funnel's id: PerspectiveListWorkspacesOperator lists them.",
    "contact not found": "Check the id: the contact was deleted, or is in another funnel.",
    "from must be before|must be an iso|date range": "Give a start before the end, in UTC.",
    "offset": "Give the offset in whole minutes.",
    r"invalid|required|must be": "Correct what is named where it comes from, or leave it out.",
}
"""What to do about what Perspective says of a request, which has no codes."""

PROBLEMS: Final = ProblemForm(cures=CURES)
DIALECT: Final = Dialect(
    problems=PROBLEMS,
    waits=(partial(wait_at, path="retryAfter"), retry_after_header, partial(reset_header, longest=_WINDOW)),
)
