"""What each partition of golden records is planned with: its people's members, and the leads that may be theirs.

If a plan of one partition read all leads, all plans together would read them as often as there are partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import ibis

from airflow_providers_leads.leads.files.provenance import share_metadata, share_path
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.engine import bucket, forget, keep, write
from airflow_providers_leads.leads.model.properties import may_tell_aliases
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS

MEMBERS: Final = "members"
_PLACE: Final = "place"


class Shares:
    """The shares of one merge, made in the order of its steps.

    :param connection: from :func:`~airflow_providers_leads.leads.merge.engine.connect`
    :param golden: URIs or path objects of the partitions of the golden records, by hash of their address
    :param metadata: of each file of the merge
    """

    def __init__(self, connection: Any, golden: Sequence[Any], metadata: Mapping[str, str]) -> None:
        self._connection, self._golden, self._metadata = connection, golden, metadata

    def sort_members(self, members: ibis.Table, inputs: Iterable[ibis.Table]) -> None:
        """Write the members of each partition, and remember which record is whose.

        :param members: of all people
        :param inputs: the leads that are merged
        """
        # A plan compares everybody with the secondary addresses of all records. Few have any: all partitions get those.
        named = [leads.filter(_names_others(leads)).select(*RECORD) for leads in inputs]
        everywhere = ibis.union(*named, distinct=True) if len(named) > 1 else named[0].distinct()
        self._everywhere = keep(self._connection, everywhere)
        members = keep(self._connection, members)
        whose = members.group_by(list(RECORD)).aggregate(golden_key=members.email_key.min())
        self._whose = keep(self._connection, whose)
        also = members.semi_join(self._everywhere, list(RECORD))
        for number, golden in enumerate(self._golden):
            own = members.filter(self._place(members.email_key) == number)
            others = also.filter(self._place(also.email_key) != number)
            self._write(ibis.union(own, others), golden, MEMBERS)
        forget(self._connection, members)

    def write_leads(self, inputs: Iterable[tuple[Any, ibis.Table]], links: ibis.Table | None = None) -> None:
        """Write the leads of each partition, one file for each of the inputs.

        :param inputs: URI or path object, and the leads as they were read
        :param links: what a memory knows of whose a record is that the merge has placed nowhere: the record and
            ``golden_key``
        """
        whose = self._whose
        if links is not None:
            whose = ibis.union(whose, links.anti_join(whose, list(RECORD)).select(*whose.columns))
        # A record may be several people's by what is remembered.
        places = whose.select(*RECORD, **{_PLACE: self._place(whose.golden_key)}).distinct()
        for uri, leads in inputs:
            leads, metadata = leads.select(*LEAD_COLUMNS), share_metadata(uri)
            also = leads.semi_join(self._everywhere, list(RECORD))
            rest = leads.anti_join(self._everywhere, list(RECORD)).left_join(places, list(RECORD))
            place = ibis.coalesce(rest[_PLACE], self._place(rest.email_key))
            placed = keep(self._connection, rest.select(*LEAD_COLUMNS, **{_PLACE: place}))
            for number, golden in enumerate(self._golden):
                own = placed.filter(placed[_PLACE] == number).drop(_PLACE)
                self._write(ibis.union(own, also), golden, uri, metadata)
            forget(self._connection, placed)

    def _place(self, key: Any) -> Any:
        return bucket(key, len(self._golden))

    def _write(self, table: ibis.Table, golden: Any, whole: Any, metadata: Mapping[str, str] | None = None) -> None:
        write(self._connection, table, share_path(golden, whole), {**self._metadata, **(metadata or {})})


def _names_others(leads: ibis.Table) -> Any:
    return may_tell_aliases(leads.properties).fill_null(False)
