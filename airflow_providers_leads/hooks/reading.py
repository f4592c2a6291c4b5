"""Reading a CRM page by page, so that a read that was killed can go on from a page that was kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_providers_leads.http.pagination import Pages
from airflow_providers_leads.leads.model.schema import Lead

if TYPE_CHECKING:
    import pyarrow as pa

Position = Mapping[str, Any]
"""Where a page stands, as small JSON."""


class LeadPage(NamedTuple):
    """Some leads, and where they were found.

    :param leads: the leads
    :param position: a read that is given it asks for this page again, and for all that follow
    """

    leads: Collection[Lead]
    position: Position


class UnreadLeads(Collection[Lead]):
    """Leads that are still in the bytes of their page; who goes through them makes them, each time anew.

    :param raw: the page
    :param count: how many leads it holds
    :param read: makes them
    :param columns: makes one record batch of several such pages, ``None`` where that can't be done
    """

    def __init__(
        self,
        raw: bytes,
        count: int,
        read: Callable[[bytes], list[Lead]],
        columns: Callable[[Sequence[UnreadLeads]], pa.RecordBatch | None],
    ) -> None:
        self.raw, self._count, self._read, self.columns = raw, count, read, columns

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Lead]:
        return iter(self._read(self.raw))

    def __contains__(self, lead: object) -> bool:
        return any(each == lead for each in self)


def record_batch(pages: Sequence[LeadPage]) -> pa.RecordBatch | None:
    """Return the leads of some pages as Arrow columns, ``None`` where they are objects already or have to be.

    :param pages: of one read
    """
    unread = [page.leads for page in pages if isinstance(page.leads, UnreadLeads)]
    return unread[0].columns(unread) if unread and len(unread) == len(pages) else None


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
