"""What is unlike the last runs, in words: more creations, fewer reads, more that was not written, a new reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import median
from typing import Any, Final

import msgspec

from airflow_providers_leads.report.page import words

_MOST_REASONS: Final = 5
_OF_ONE: Final = re.compile(r"\S*@\S*|\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something is told.

    :param created: creations, as a multiple of those of the last runs; default 2
    :param updated: likewise of updates; default 3
    :param read: leads that were read, as a share of the last runs; default 0.8: a fifth fewer
    :param unwritten: people that were not written, as a multiple; default 2
    :param quota: share of a quota that is spent; default 0.9
    :param least: people by which something must differ to be told; default 20
    """

    created: float = 2.0
    updated: float = 3.0
    read: float = 0.8
    unwritten: float = 2.0
    quota: float = 0.9
    least: int = 20


def limits_from(values: Any) -> Limits:
    """Return limits of a mapping.

    :raises ValueError: naming the entry that is none
    """
    if values in (None, ""):
        return Limits()
    names = [each.name for each in fields(Limits)]
    if not isinstance(values, Mapping):
        raise ValueError(f"unlike must be a mapping with {', '.join(names)}")
    for name, value in values.items():
        if name not in names:
            raise ValueError(f"unlike: unknown key {name!r}; known are {', '.join(names)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ValueError(f"unlike: {name} must be a number, zero or more")
    return Limits(**values)


def limits_in(text: str) -> Limits:
    """Return the limits that the option ``[leads] unlike`` sets, as JSON.

    :raises ValueError: when it can't be used, naming what is wrong
    """
    try:
        values = msgspec.json.decode(text) if text.strip() else None
    except msgspec.DecodeError:
        raise ValueError("unlike must be JSON") from None
    return limits_from(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The numbers of a run, or of its plan, that are compared; ``None`` for what is not known.

    :param sources: connection → leads that were read from it
    :param unwritten: people that failed, are unclear or were not reached
    :param reasons: reason → people
    :param quotas: connection → calls spent of a day's quota, and the quota
    """

    read: int | None = None
    sources: Mapping[str, int] = field(default_factory=dict)
    created: int | None = None
    updated: int | None = None
    unwritten: int | None = None
    reasons: Mapping[str, int] | None = None
    quotas: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def unlike(
    now: Figures, earlier: Sequence[Figures], limits: Limits | None = None, *, planned: bool = False
) -> list[str]:
    """Return one sentence for each thing that is unlike the last runs, the gravest first.

    :param now: this run
    :param earlier: the runs before, without those that tell nothing
    :param limits: from when on
    :param planned: nothing is written yet
    """
    limit = limits or Limits()
    told = []
    for name, verb, times in (
        ("unwritten", _verb("not written"), limit.unwritten),
        ("created", _verb("created", planned=planned), limit.created),
        ("updated", _verb("updated", planned=planned), limit.updated),
    ):
        number, usual = getattr(now, name), _usual(name, earlier)
        if number is None or usual is None:
            continue
        # Where everybody was written, one who was not is news.
        least = 1 if name == "unwritten" and not usual else limit.least
        if number - usual >= least and number > usual * times:
            told.append(f"{_people(number)} {verb(number)}{_than(number, usual, earlier)}.")
    told += _fewer_reads(now, earlier, limit)
    told += _new_reasons(now, earlier)
    for conn_id, (spent, quota) in now.quotas.items():
        if quota > 0 and spent >= quota * limit.quota:
            told.append(f"{conn_id}: {max(quota - spent, 0):,} of {quota:,} calls are left today.")
    return told


def kinds_of(reasons: Mapping[str, int]) -> Counter[str]:
    """Return reasons without what they say of one person only: addresses, and numbers such as a record's id."""
    kinds: Counter[str] = Counter()
    for reason, number in reasons.items():
        kinds[_OF_ONE.sub("…", reason)] += number
    return kinds


def _fewer_reads(now: Figures, earlier: Sequence[Figures], limit: Limits) -> list[str]:
    """Return which sources gave fewer leads; where none did by itself, that all did together."""

    def fewer(number: int, numbers: Sequence[int], source: str = "") -> list[str]:
        usual = float(median(numbers)) if numbers else 0.0
        if not usual or usual - number < limit.least or number >= usual * limit.read:
            return []
        less, of = round(100 * (1 - number / usual)), f" from {source}" if source else ""
        what = f"{number:,} leads were read{of}, {less} % fewer than" if number else f"Nothing was read{of}, unlike"
        return [f"{what} in {_runs(numbers)} ({usual:,.0f})."]

    if now.read is None:
        return []
    known = [figures.sources for figures in earlier if figures.sources]
    # A source that the run before no longer had was taken out on purpose.
    by_source = [
        sentence
        for source in (known[-1] if known else ())
        for sentence in fewer(now.sources.get(source, 0), [one[source] for one in known if source in one], source)
    ]
    return by_source or fewer(now.read, [figures.read for figures in earlier if figures.read is not None])


def _new_reasons(now: Figures, earlier: Sequence[Figures]) -> list[str]:
    known = [figures.reasons for figures in earlier if figures.reasons is not None]
    if now.reasons is None or not known:
        return []
    before = set().union(*known)
    new = sorted(((number, reason) for reason, number in now.reasons.items() if reason not in before), reverse=True)
    return [
        f"A reason that {_runs(known)} did not have: {words(reason)} ({_people(number)})."
        for number, reason in new[:_MOST_REASONS]
    ]


def _usual(name: str, earlier: Sequence[Figures]) -> float | None:
    numbers = [number for figures in earlier if (number := getattr(figures, name)) is not None]
    return float(median(numbers)) if numbers else None


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _verb(done: str, *, planned: bool = False) -> Callable[[int], str]:
    return lambda number: f"{'would be' if planned else 'was' if number == 1 else 'were'} {done}"


def _than(number: int, usual: float, earlier: Sequence[Figures]) -> str:
    if not usual:
        return f", nobody in {_runs(earlier)}"
    if (times := number / usual) < 2:
        return f", {usual:,.0f} in {_runs(earlier)}"
    return f", {times:,.0f} times as many as in {_runs(earlier)} ({usual:,.0f})"


def _runs(earlier: Sequence[Any]) -> str:
    return "the run before" if len(earlier) == 1 else f"the {len(earlier)} runs before"
