"""Failures that are the vendor's own: they say nothing about the record, and may pass when it is sent again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from airflow_providers_leads.http.errors import LeadsApiError

Trouble = Literal["unclear", "not_done"]
"""``unclear``: the vendor stumbled, and the write may stand; ``not_done``: a limit or a lock kept it from beginning."""

_PARTS: Final[dict[Trouble, str]] = {
    "not_done": (
        r"RATE_?LIMIT(?:S|ED)?|TOO_MANY_REQUESTS?|(?:DAILY|SECONDLY|TEN_SECONDLY\w*)(?:_LIMIT)?|THROTTL(?:ED|ING)"
        r"|(?:REQUEST|API|CALL)_LIMIT\w*|CONCURREN\w+|LOCK(?:ED)?|LOCK_\w+|\w+_LOCK(?:ED)?|RESOURCE_BUSY|BUSY"
    ),
    "unclear": (
        r"(?:\w+_)?INTERNAL(?:_\w+)?|SERVER_ERROR|\w+_UNAVAILABLE|UNAVAILABLE|(?:\w+_)?TIME_?OUT(?:_\w+)?"
        r"|(?:\w+_)?TIMED_OUT|TEMPORAR\w+|TRANSIENT\w*|OVERLOAD\w*|UNKNOWN_ERROR|UNEXPECTED(?:_\w+)?|BAD_GATEWAY"
    ),
}
_CODES: Final = {kind: re.compile(parts, re.IGNORECASE) for kind, parts in _PARTS.items()}
# Where there is no code, the sentence has to do.
_WORDS: Final[dict[Trouble, re.Pattern[str]]] = {
    "not_done": re.compile(r"\brate limit|\btoo many requests\b|\b(?:is|are|currently) locked\b", re.IGNORECASE),
    "unclear": re.compile(
        r"\binternal (?:server )?error\b|\btemporar(?:y|ily)\b|\btry again\b|\btimed? ?out\b|\bunavailable\b"
        r"|\bsomething went wrong\b",
        re.IGNORECASE,
    ),
}


def trouble(category: str | None, codes: Iterable[str] = (), words: str = "") -> Trouble | None:
    """Tell whether a failure is the vendor's own trouble, ``None`` when it is about the record.

    :param category: the vendor's machine-readable category
    :param codes: its finer codes, perhaps with names in brackets behind
    :param words: its sentence, which counts where there is no category
    """
    named = [category] if category else [code.partition("(")[0] for code in codes]
    for kind, pattern in _CODES.items():
        if any(pattern.fullmatch(name) for name in named):
            return kind
    if category:
        return None
    return next((kind for kind, pattern in _WORDS.items() if pattern.search(words)), None)


def is_trouble(error: LeadsApiError) -> bool:
    """Tell whether a request failed by the vendor's own trouble, whatever its status says."""
    return trouble(error.category, error.codes, error.words) is not None
