"""Reading a CRM page by page, so that a read that was killed can go on from a page that was kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from airflow_providers_leads.http.pagination import Pages
from airflow_providers_leads.leads.schema import Lead

Position = Mapping[str, Any]
"""Where a page stands, as small JSON."""


class LeadPage(NamedTuple):
    """Some leads, and where they were found.

    :param leads: the leads
    :param position: a read that is given it asks for this page again, and for all that follow
    """

    leads: list[Lead]
    position: Position


def with_positions(found: Iterable[list[Any]], pages: Pages) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield the pages of a walk with the state in which the walk asked for each.

    :param found: the walk
    :param pages: what it moves along
    """
    at = pages.state()
    for rows in found:
        yield rows, at
        at = pages.state()


def leads_of(pages: Iterable[LeadPage]) -> Iterator[Lead]:
    """Yield the leads of pages."""
    for page in pages:
        yield from page.leads
