"""PersistIQ's own ways in an HTTP conversation: paging, waits and error answers.

https://apidocs.persistiq.com and https://api.persistiq.com/api-docs/v1/swagger.json
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.hints import Headers, ahead, reset_header, retry_after_header
from airflow_providers_leads.http.pagination import NumberedPages
from airflow_providers_leads.http.problems import Problem, ProblemForm, sentence
from airflow_providers_leads.http.problems import read_problem as read_problem_of_form

QUOTAS: Final[Mapping[str, tuple[int, float]]] = {"default": (100, 60.0)}
# They count by the minute: what lies further ahead is a clock that differs.
_WINDOW: Final = 65.0
# Of leads, campaigns and domains; events come by 500, of other lists it isn't known.
_FULL: Final = 100
_EPOCH_IN_TEXT: Final = re.compile(r"\breset\w*\s+at\s+(\d{9,11})\b", re.IGNORECASE)


def list_pages(key: str, *, bare_first: bool = False) -> NumberedPages:
    """Return how a list is paged.

    ``next_page`` only tells that there is one, and is not followed: whether it keeps the filters is unknown, and it is
    an absolute URL that could lead the key to another host. Without both, the list is whole (``/users`` is documented
    so), unless the page is as full as pages are: that may be how the API leaves out what is null or false.

    Pages are not asked for before their turn. The order of these lists is not documented; were it the time of the last
    change, a row that is changed could move behind pages that were read early from where the walk has not been yet, and
    no total would tell.

    :param key: name of the list in the body, such as ``leads``
    :param bare_first: the list is documented without a parameter for the page
    """
    return NumberedPages(
        rows_at=key,
        more_at=("has_more", "next_page"),
        first=1,
        full=None if bare_first else _FULL,
        bare_first=bare_first,
    )


_EXISTS: Final = r"\balready (?:been taken|exists|in)\b"
_BAD: Final = "(?:not found|invalid|unknown)"
_CORRECT: Final = "Correct what is named where it comes from, or leave it out."
CURES: Final[Mapping[str, str]] = {
    r"\bemail\b.*(?:is missing|can't be blank|is invalid)": "Correct the address where it comes from.",
    rf"\bname\b.*{_EXISTS}": "It is there already.",
    rf"\blead\b.*{_EXISTS}": "The lead is in the campaign already.",
    _EXISTS: "Another lead has this address: write to that one, or correct one of the two.",
    rf"\bstatus\b.*{_BAD}": "PersistIQListLeadStatusesOperator lists the statuses that there are.",
    rf"\b(?:owner|creator|user)\b.*{_BAD}": "PersistIQListUsersOperator lists the users that there are.",
    r"\bmailbox\b.*disconnected": "Connect the mailbox again in PersistIQ's settings.",
    rf"\bmailbox\b.*{_BAD}": "PersistIQListUsersOperator lists the mailboxes that there are.",
    r"\bcampaign\b.*not found": "PersistIQListCampaignsOperator lists the campaigns that there are.",
    r"\bnot (?:in|on) (?:the |this )?campaign\b|\bnot (?:a )?(?:member|part) of\b": "Nothing is to be done.",
    r"\bnot_found\b|\bnot found\b": "Check the id; the record may have been deleted.",
    r"\bmaximum of\b": "Give fewer in one call.",
    rf"\bfield\b.*{_BAD}|\bunknown field\b": "PersistIQListLeadFieldsOperator lists those that there are.",
    r"\bis (?:missing|blank|invalid)\b|can't be blank|\bmust be\b|\binvalid_request|\bbad_params\b": _CORRECT,
}
"""What to do about what PersistIQ says of a request."""

PROBLEMS: Final = ProblemForm(
    categories=("error.reason", "reason", "errors.reason"),
    # Said with a 400 too, of a lead that left its campaign.
    not_found=re.compile(
        r"\bnot (?:be )?found\b|\bnot (?:in|on) (?:the |this )?campaign\b|\bnot (?:a )?(?:member|part) of\b",
        re.IGNORECASE,
    ),
    exists=re.compile(_EXISTS, re.IGNORECASE),
    cures=CURES,
)


def read_problem(headers: Mapping[str, str], body: Any) -> Problem:
    """Return what an error answer of PersistIQ says."""
    return read_problem_of_form(headers, body, PROBLEMS)


def _epoch_in_message(headers: Headers, body: Any, now: float) -> float | None:
    named = _EPOCH_IN_TEXT.search(sentence(body))
    wait = ahead(float(named.group(1)), now) if named else None
    return None if wait is None else min(wait, _WINDOW)


DIALECT: Final = Dialect(
    waits=(retry_after_header, partial(reset_header, longest=_WINDOW), _epoch_in_message), problems=PROBLEMS
)
