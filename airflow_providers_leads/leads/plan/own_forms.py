"""Values that a CRM keeps in a form of its own, remembered from run to run: written once, and not again at every run.

Beside the ledger of a destination. It names people and values by hash, so it holds nobody's address or data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.staging import StagingError, as_path, read_rows, write_rows
from airflow_providers_leads.leads.model.identity import person_hash
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.plan.mapped import by_place, with_left_out
from airflow_providers_leads.leads.plan.property_types import PROPERTY

OWN_FORM: Final = "the CRM keeps it in a form of its own"


class OwnForm(msgspec.Struct, kw_only=True):
    """A value that a CRM has made another one of.

    :param person: hash of the address, see :func:`~airflow_providers_leads.leads.model.identity.person_hash`
    :param field: lead field, or ``properties.`` + the destination's own
    :param written: hash of what was written
    :param stored: hash of what the CRM made of it
    :param at: when it was written
    """

    person: str
    field: str
    written: str
    stored: str
    at: datetime


class OwnForms:
    """The values of one destination that its CRM keeps in a form of its own.

    What was written and stands there as the CRM has said is not written again before some days have passed, as the CRM
    may change; as soon as either of the two is another value, it is.

    :param uri: where they are kept
    :param rows: what is known
    :param lasting: how long a value is left alone
    """

    def __init__(self, uri: Any, rows: Iterable[OwnForm], lasting: timedelta) -> None:
        self.uri, self.lasting, self.changed = uri, lasting, False
        self._rows: dict[str, dict[str, OwnForm]] = {}
        for row in rows:
            self._rows.setdefault(row.person, {})[row.field] = row

    @classmethod
    def load(cls, uri: Any, lasting: timedelta) -> OwnForms:
        """Read what is known; without a file that can be read it is nothing, and values are written once more."""
        try:
            return cls(uri, read_rows(as_path(uri), OwnForm), lasting)
        except (StagingError, OSError):
            return cls(uri, (), lasting)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def holds(self, email_key: str) -> bool:
        """Tell whether anything is known of a person."""
        return person_hash(email_key) in self._rows

    def left(self, row: PlanRow, now: datetime) -> PlanRow:
        """Return an update without the values that the CRM keeps in a form of its own; any other row as it is.

        :param row: of a plan
        :param now: aware
        """
        person = person_hash(row.email_key)
        known = self._rows.get(person) if row.action == "update" else None
        if not known:
            return row
        before = by_place(row.before, row.properties_before)
        alone = {
            name
            for name, value in by_place(row.values, row.properties).items()
            if (form := known.get(name)) is not None
            and now < form.at + self.lasting
            and (form.written, form.stored) == (_hash(person, value), _hash(person, before.get(name)))
        }
        if not alone:
            return row
        return msgspec.structs.replace(
            row,
            values={name: value for name, value in row.values.items() if name not in alone},
            properties={name: value for name, value in row.properties.items() if f"{PROPERTY}{name}" not in alone},
            reason=with_left_out(row.reason, dict.fromkeys(sorted(alone), OWN_FORM)),
        )

    def record(self, row: PlanRow, result: WriteResult, now: datetime) -> None:
        """Remember what a CRM has made of the values of a row that was written.

        :param row: of the plan
        :param result: what became of it
        :param now: aware
        """
        person = person_hash(row.email_key)
        known = self._rows.get(person, {})
        written = by_place(row.values, row.properties)
        kept = {name: form for name, form in known.items() if name not in result.fields}
        for name, stored in result.stored.items():
            if name in written:
                hashes = {"written": _hash(person, written[name]), "stored": _hash(person, stored)}
                kept[name] = OwnForm(person=person, field=name, at=now, **hashes)
        if kept != known:
            self.changed = True
            self._rows[person] = kept

    def save(self, now: datetime) -> None:
        """Write what is known, without what is too old to count; nothing where nothing has changed."""
        if self.changed:
            write_rows(self.uri, OwnForm, self._lasting(now), shared=True)

    def _lasting(self, now: datetime) -> Iterator[OwnForm]:
        for person in sorted(self._rows):
            yield from (form for form in self._rows[person].values() if now < form.at + self.lasting)


def _hash(person: str, value: str | None) -> str:
    # White space is folded, as CRMs do when they store.
    words = " ".join((value or "").split())
    return hashlib.sha256(f"{person}\x1f{words}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
