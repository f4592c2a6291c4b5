"""Rows that a CRM refused, remembered from run to run: tried again while that may help, then held back, never lost.

One file per destination. It names people by hash and values by hash, so it holds nobody's address or data.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
import pendulum

from airflow_providers_leads.leads.files.provenance import accounts_metadata, read_accounts
from airflow_providers_leads.leads.files.staging import StagingError, as_path, check_readable, read_rows, write_rows
from airflow_providers_leads.leads.model.identity import person_hash
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.plan.own_forms import OwnForms

MAX_TRIES: Final = 3
RETRY_AFTER: Final = timedelta(days=7)

QUARANTINED: Final = "quarantined"
"""How the reason of a row that was held back begins."""

_DESTINATION: Final = "destination"
_SENT: Final = ("create", "update")
_SETTLED: Final = ("created", "updated", "unchanged")


class Rejection(msgspec.Struct, kw_only=True):
    """One person whom the destination refuses.

    :param person: hash of the address, see :func:`~airflow_providers_leads.leads.model.identity.person_hash`
    :param row_hash: hash of what was to be written; another hash is a new case
    :param reason: why the CRM refused it the last time
    :param tries: how often this content was refused
    :param first_failed_at: when this content was refused first
    :param last_failed_at: when it was refused last
    :param status: ``retrying``: sent with the next run; ``quarantined``: held back until it changes or time has passed
    """

    person: str
    row_hash: str
    reason: str
    tries: int
    first_failed_at: datetime
    last_failed_at: datetime
    status: Literal["retrying", "quarantined"]


def row_hash(row: PlanRow) -> str:
    """Return a hash of what a plan row writes: its action and its values, in any order."""
    written = [row.action, sorted(row.values.items()), sorted(row.properties.items())]
    return hashlib.sha256(msgspec.json.encode(written)).hexdigest()


class Ledger:
    """The refused rows of one destination; :meth:`load` it, ask and record in one run, :meth:`save` it.

    Only what the CRM says about a record counts. A request that got no answer, a wrong key or a spent quota says
    nothing about the record and leaves the ledger as it is.

    :param uri: where it is kept
    :param rows: what it holds
    :param max_tries: refusals of the same content after which it is held back, default 3
    :param retry_after: how long it is held back before one more try, as the cause may lie in the CRM; default 7 days
    :param now: time of this run, aware; what is recorded twice with one time counts once. Default the present
    :param account: mark of the destination's account, kept with it; ``None`` when it isn't known
    :param own_forms: what the CRM has made of written values, kept beside it; default: nothing is known
    :raises ValueError: for a number of tries or a time that can't be
    """

    def __init__(
        self,
        uri: Any,
        rows: Iterable[Rejection] = (),
        *,
        max_tries: int = MAX_TRIES,
        retry_after: timedelta = RETRY_AFTER,
        now: datetime | None = None,
        account: str | None = None,
        own_forms: OwnForms | None = None,
    ) -> None:
        if max_tries < 1:
            raise ValueError("max_tries must be a whole number of at least 1")
        if retry_after <= timedelta(0):
            raise ValueError("retry_after must be longer than nothing")
        if now is not None and now.utcoffset() is None:
            raise ValueError("now has no time zone")
        self.uri = uri
        self.account = account
        self.max_tries = max_tries
        self.retry_after = retry_after
        self.now = (now or pendulum.now("UTC")).astimezone(UTC)
        self.own_forms = OwnForms(_beside(uri), (), retry_after) if own_forms is None else own_forms
        self._rows = {row.person: row for row in rows}

    @classmethod
    def load(
        cls,
        uri: Any,
        *,
        max_tries: int = MAX_TRIES,
        retry_after: timedelta = RETRY_AFTER,
        now: datetime | None = None,
        account: str | None = None,
        is_account: Callable[[str], bool] | None = None,
    ) -> Ledger:
        """Read a ledger; a file that isn't there yet, or is another account's, is an empty one.

        Parameters as for the class, and:

        :param is_account: tells whether a mark is of the destination's account; default: every one is
        :raises StagingError: naming the file when it can't be read: taking it for empty would send everything again
        """
        rows = _read(uri)
        marks = read_accounts([uri]).get(_DESTINATION, ()) if rows else ()
        if is_account is not None and not all(map(is_account, marks)):
            # What another account refused says nothing about this one.
            rows = ()
        own_forms = OwnForms.load(_beside(uri), retry_after)
        return cls(
            uri, rows, max_tries=max_tries, retry_after=retry_after, now=now, account=account, own_forms=own_forms
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Rejection]:
        return iter(self._rows.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many people are ``retrying`` and ``quarantined``."""
        counts = Counter(row.status for row in self)
        return {status: counts[status] for status in ("retrying", "quarantined")}

    def holds(self, email_key: str) -> bool:
        """Tell whether anything is known of a person."""
        return person_hash(email_key) in self._rows or self.own_forms.holds(email_key)

    def verdict(self, row: PlanRow) -> str | None:
        """Return why a plan row must not be sent in this run, ``None`` when it is to be sent.

        :param row: a row of this run's plan
        :return: a reason for its result, free of addresses
        """
        known = self._rows.get(person_hash(row.email_key))
        if row.action not in _SENT or known is None or known.row_hash != row_hash(row):
            return None
        again = known.last_failed_at + self.retry_after
        # The limit of this run counts, not the one that held when the row was refused.
        if known.tries < self.max_tries or self.now >= again:
            return None
        return (
            f"{QUARANTINED} after {known.tries} tries: {known.reason}. Sent again when the row changes, "
            f"or after {again:%Y-%m-%d %H:%M} UTC"
        )

    def record(self, row: PlanRow, result: WriteResult) -> None:
        """Remember what became of a plan row that was sent, or forget the person when all is well.

        :param row: the row
        :param result: what the CRM said
        """
        self.own_forms.record(row, result, self.now)
        person = person_hash(row.email_key)
        if result.outcome in _SETTLED:
            self._rows.pop(person, None)
        elif result.outcome == "failed" and result.refused:
            self._refuse(person, row_hash(row), result.reason or "no reason given")

    def _refuse(self, person: str, content: str, reason: str) -> None:
        known = self._rows.get(person)
        same = known if known and known.row_hash == content else None
        if same and same.last_failed_at == self.now:
            return
        tries = same.tries + 1 if same else 1
        self._rows[person] = Rejection(
            person=person,
            row_hash=content,
            reason=reason,
            tries=tries,
            first_failed_at=same.first_failed_at if same else self.now,
            last_failed_at=self.now,
            status="quarantined" if tries >= self.max_tries else "retrying",
        )

    def save(self) -> None:
        """Write the ledger, whole or not at all; people who weren't in this run's plan stay in it."""
        self.own_forms.save(self.now)
        metadata = accounts_metadata({_DESTINATION: [self.account]} if self.account else {})
        rows = [self._rows[person] for person in sorted(self._rows)]
        write_rows(self.uri, Rejection, rows, metadata=metadata, shared=True)


def _beside(uri: Any) -> Any:
    path = as_path(uri)
    return path.parent / f"{path.name.removesuffix('.parquet').removesuffix('.refused')}.own_forms.parquet"


def _read(uri: Any) -> tuple[Rejection, ...]:
    path = as_path(uri)
    try:
        # Not exists(): many stores answer false when they could not be asked.
        path.open("rb").close()
        check_readable(path)
        return tuple(read_rows(path, Rejection))
    except FileNotFoundError:
        return ()
    except (StagingError, OSError):
        raise StagingError(
            f"{path} can't be read as a ledger of refused rows. Mend the access to it or restore it from a backup; or "
            "move it away to begin anew, and what was quarantined is sent again."
        ) from None
