"""Which stretch of a CRM's changes a run reads, so that successive runs miss none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

# Clocks of workers and vendors differ; a watermark further ahead than this was set by mistake.
_SKEW: Final = timedelta(minutes=10)


class Watermark(msgspec.Struct, frozen=True):
    """How far a connection has been read, as Airflow keeps it.

    :param at: everything that changed before is read, ISO 8601
    :param full_at: when everything was last read, changed or not; ``None``: never
    :param parts: the funnels that were read, ``None`` where the CRM isn't divided
    :param scope: by which the reads were narrowed
    :param account: mark of the account that was read, ``None`` when it isn't known, as of one set by hand
    """

    at: str
    full_at: str | None = None
    parts: list[str] | None = None
    scope: dict[str, Any] = {}
    account: str | None = None


class Read(msgspec.Struct, frozen=True):
    """One read of a run.

    :param scope: narrows it
    :param since: only what changed at or after this time, ISO 8601; ``None``: everything
    :param until: only what changed before this time; ``None``: up to the present
    """

    scope: dict[str, Any]
    since: str | None = None
    until: str | None = None


class Round(msgspec.Struct, frozen=True):
    """What a run reads: all its bounds are frozen before the first request, and shared by its retries.

    :param reads: one after the other
    :param watermark: where the next run goes on
    :param full: everything is read
    :param gone: parts of the CRM that were there before and are not any more
    """

    reads: list[Read]
    watermark: Watermark
    full: bool
    gone: list[str] = []


def read_watermark(stored: Any) -> Watermark | None:
    """Return a watermark as it was stored, by this package or by hand; ``None`` when there is none.

    :param stored: a mapping with ``at``, or the time alone
    :raises ValueError: when it is neither
    """
    if stored is None:
        return None
    try:
        found = msgspec.convert({"at": stored} if isinstance(stored, str) else stored, Watermark)
        _moment(found.at)
        return found
    except (msgspec.ValidationError, ValueError):
        raise ValueError("the stored watermark is no time such as 2026-01-01T00:00:00Z") from None


def plan_round(
    mark: Watermark | None,
    now: datetime,
    *,
    scope: Mapping[str, Any],
    settle: timedelta,
    overlap: timedelta,
    full_every: timedelta | None = None,
    parts: Iterable[str] | None = None,
    narrowed: Any = None,
) -> Round:
    """Return what to read next.

    :param mark: how far the CRM was read; ``None``: not at all, so that everything is read
    :param now: the present time
    :param scope: narrows the read
    :param settle: what is younger may not be found by time yet and is left for the next run; 0: it is read now
    :param overlap: how far the read reaches back behind the watermark
    :param full_every: read everything when the last full read is as old as this
    :param parts: those that the read covers, ``None`` where the CRM isn't divided
    :param narrowed: (parts) → the scope narrowed to them
    :raises ValueError: when the watermark lies in the future
    """
    given, covered = dict(scope), None if parts is None else list(parts)
    if mark is not None and _moment(mark.at) > now + _SKEW:
        raise ValueError(
            f"the watermark {mark.at} lies in the future: nothing would be read until then. Nothing was moved; give an "
            "earlier time, or reset it."
        )
    due = full_every is not None and (mark is None or mark.full_at is None or now - _moment(mark.full_at) >= full_every)
    if mark is None or due:
        whole = Read(given if covered is None else narrowed(covered))
        return Round([whole], Watermark(_text(now), _text(now), covered, given), full=True)
    since, until = _moment(mark.at) - overlap, now - settle
    known = covered if covered is None or mark.parts is None else [part for part in covered if part in mark.parts]
    reads = []
    if since < until and (known is None or known):
        bounded = _text(until) if settle else None
        reads.append(Read(given if known is None else narrowed(known), _text(since), bounded))
    # Of what was not there before everything is new, however old.
    if fresh := [part for part in covered or () if part not in (known or ())]:
        reads.append(Read(narrowed(fresh)))
    after = Watermark(_text(max(_moment(mark.at), until)), mark.full_at, covered, given)
    return Round(reads, after, full=False, gone=[part for part in mark.parts or () if part not in (covered or ())])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("a watermark needs a time zone")
    return moment.astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
