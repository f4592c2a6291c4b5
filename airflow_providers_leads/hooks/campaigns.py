"""What a CRM can do that writes to its leads by campaigns, and sorts them by lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from airflow_providers_leads.leads.model.outcomes import BatchResult
from airflow_providers_leads.leads.model.schema import Lead


class Campaigns(ABC):
    """Campaigns of one CRM, as :class:`~airflow_providers_leads.operators.leads.LeadsEnrolOperator` uses them."""

    @abstractmethod
    def ids(self) -> list[str]:
        """Return the ids of the campaigns that the key may see."""

    def mailboxes(self) -> list[str] | None:
        """Return the ids of the mailboxes that can be written from, ``None`` (default) where the API doesn't tell."""
        return None

    @abstractmethod
    def members(self, campaign_id: str) -> set[str]:
        """Return the ids of the leads that are in a campaign, as far as the API tells.

        One that isn't told of is added again, which must do no harm.

        :param campaign_id: the campaign
        """

    def former(self, campaign_id: str, lead_ids: Collection[str]) -> set[str]:
        """Return which of these leads have been in a campaign, as far as the API tells; default none.

        :param campaign_id: the campaign
        :param lead_ids: leads that are not in it
        """
        return set()

    @abstractmethod
    def leads(self, lead_ids: Collection[str]) -> Iterator[Lead]:
        """Yield what the CRM holds of these leads now; whom it doesn't know any more is left out."""

    @abstractmethod
    def add(self, campaign_id: str, lead_ids: Sequence[str], mailbox_id: str | None) -> BatchResult:
        """Add leads to a campaign, which may write to them at once; ``new`` is false of those that were in it.

        :param campaign_id: the campaign
        :param lead_ids: any number
        :param mailbox_id: mailbox to send from; default the campaign's own
        """


class ListChange(NamedTuple):
    """What changing a list did.

    :param changed: ids of the records that were added or removed
    :param missing: ids that the CRM has no record of
    """

    changed: set[str]
    missing: set[str]


class Lists(ABC):
    """A CRM's lists, as :class:`~airflow_providers_leads.operators.leads.LeadsToListOperator` uses them."""

    @abstractmethod
    def find(self, name: str) -> str:
        """Return the id of a list that can be changed.

        :param name: its id or name
        :raises ValueError: when there is none, or the CRM fills it itself
        """

    @abstractmethod
    def change(self, list_id: str, record_ids: Sequence[str], *, remove: bool) -> ListChange:
        """Add records to a list or remove them, in the largest batches that the API takes; what is so already stays.

        :param list_id: the list
        :param record_ids: any number
        :param remove: remove them instead
        """
