"""Which value of a field wins once it is known who has changed what: pure decisions over one person's records.

A value that was changed since the records were first seen wins over those that were not, whatever the others hold and
whatever the policy's order says of values as such. Of several changes the later one wins where it is known to be later;
otherwise the policy's source priority decides between those that may have been last.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from airflow_providers_leads.leads.memory.hashing import folded, form_of

CHANGED: Final = "changed"
"""Rule of a conflict in which one CRM's value was changed and another's was not."""
BOTH_CHANGED: Final = "both_changed"
"""Rule of a conflict in which several CRMs' values were changed, differently."""
CLEARED: Final = "cleared"
"""Rule of a conflict in which a field was cleared in one CRM and is to be empty everywhere."""
RULES: Final = (CHANGED, BOTH_CHANGED, CLEARED)

Cleared = Literal["keep", "spread"]

_MILLISECONDS: Final = re.compile(r"-?\d{11,13}")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one field of one record.

    :param value: what it holds now, ``None``: nothing
    :param after: it was not changed before, ``None``: not known
    :param until: it was changed by then at the latest, ``None``: not known
    :param edited: somebody has changed it since the record was first seen
    :param fresh: that was noticed in this run
    :param new: the record was made since the sync began to remember
    :param place: its place in the policy's order: first what decides, best is least
    :param copied: the sync has put the value there, in the form that the CRM keeps it in
    """

    value: str | None
    after: datetime | None = None
    until: datetime | None = None
    edited: bool = False
    fresh: bool = False
    new: bool = False
    place: tuple[int, str, str, str] = (0, "", "", "")
    copied: bool = False

    @property
    def order(self) -> tuple[bool, int, str, str, str]:
        """Its place among values of which none is known to be the last: a copy comes after what it was made of."""
        return (self.copied, *self.place)

    @property
    def cleared(self) -> bool:
        """Somebody has emptied it."""
        return self.edited and self.value is None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of one field of one person.

    :param winner: number of the look that wins; ``None``: nobody's change decides, the usual order does
    :param rule: of :data:`RULES`, ``None`` where nothing is disputed
    """

    winner: int | None = None
    rule: str | None = None


def decide(looks: Sequence[Look], cleared: Cleared = "keep") -> Verdict:
    """Decide one field of one person.

    :param looks: one per record that may set the field
    :param cleared: ``keep``: a cleared field is nobody else's business; ``spread``: it competes as a changed value does
    """
    edits = [n for n, look in enumerate(looks) if look.edited and (look.value is not None or cleared == "spread")]
    rivals = [n for n, look in enumerate(looks) if look.new and not look.edited and look.value is not None]
    winner = _last(looks, edits) if edits else None
    newer = (
        _since_cleared(looks, rivals)
        if winner is None
        else [
            n for n in rivals if _surely_later(looks[n], looks[winner]) and looks[n].place[0] <= looks[winner].place[0]
        ]
    )
    if newer:
        winner = _last(looks, newer)
    if winner is None:
        return Verdict()
    others = [look for n, look in enumerate(looks) if n != winner and not same_value(look, looks[winner])]
    fresh = [look for look in others if look.fresh and (look.value is not None or cleared == "spread")]
    if looks[winner].fresh and fresh:
        return Verdict(winner, BOTH_CHANGED)
    if any(look.value is not None for look in others):
        return Verdict(winner, CLEARED if looks[winner].value is None else CHANGED)
    return Verdict(winner)


def _since_cleared(looks: Sequence[Look], rivals: Sequence[int]) -> list[int]:
    """Return the new values that came after somebody had emptied the field elsewhere, and that nobody's goes before."""
    best = min((look.place[0] for look in looks if look.value is not None), default=0)
    clears = [look for look in looks if look.cleared]
    return [n for n in rivals if looks[n].place[0] == best and any(_surely_later(looks[n], each) for each in clears)]


def _last(looks: Sequence[Look], numbers: Sequence[int]) -> int:
    """Return the one that none of the others is known to be later than, of several the first in their order."""
    last = [n for n in numbers if not any(m != n and _surely_later(looks[m], looks[n]) for m in numbers)]
    # Clocks differ, so that times may end before they begin, and each has a later one.
    return min(last or numbers, key=lambda n: looks[n].order)


def _surely_later(one: Look, other: Look) -> bool:
    if one.after is not None and other.until is not None:
        return one.after >= other.until
    # What was there from the beginning has no time of its own; what was changed or made since is later.
    return (one.edited or one.new) and not (other.edited or other.new)


def same_value(one: Look, other: Look) -> bool:
    """Tell whether two records hold one value, in whatever case it is written."""
    return folded(one.value or "") == folded(other.value or "")


def same_but_for_form(one: str | None, other: str | None) -> bool:
    """Tell whether a CRM may have made one value of the other when it stored it.

    The same letters and digits: a phone number in other groups, another case, an address of a page without its scheme;
    the same options in another order; the same date as milliseconds.

    :param one: a value
    :param other: another one
    """
    if not one or not other:
        return False
    one, other = (unicodedata.normalize("NFKC", value).strip() for value in (one, other))
    if (form := form_of(one)) and form == form_of(other):
        return True
    # What looks like milliseconds may be a phone number: only beside another way to write the time are they one.
    moment = _moment(one)
    return moment is not None and moment == _moment(other)


def _moment(text: str) -> datetime | None:
    try:
        if _MILLISECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        moment = datetime.fromisoformat(text.upper()) if _DATE.match(text) else None
    except (ValueError, OverflowError, OSError):
        return None
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stays_empty(
    cleared_until: datetime,
    *,
    cleared_after: datetime | None = None,
    cleared_now: bool,
    fresh_value: bool,
    value_after: datetime | None,
    value_until: datetime | None = None,
) -> bool:
    """Tell whether a field that was cleared in a CRM is not to be filled there again.

    :param cleared_until: when it was cleared, at the latest
    :param cleared_after: it still had a value then, ``None``: not known
    :param cleared_now: the clearing was noticed in this run
    :param fresh_value: somebody has given the field a value elsewhere, noticed in this run
    :param value_after: before this time the value elsewhere was not there; ``None``: it is as old as the record
    :param value_until: it was there by then, ``None``: not known
    """
    if fresh_value:
        return cleared_now and None not in (cleared_after, value_until) and cleared_after >= value_until  # type: ignore[operator]
    if cleared_now:
        return True
    if value_until is not None and value_until > cleared_until:
        # Noticed later, by a run whose write did not get through: what it would have filled is filled now.
        return False
    return value_after is None or value_after < cleared_until
