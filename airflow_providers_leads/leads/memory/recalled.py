"""What a merge gives to its memory, and learns from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from airflow_providers_leads.leads.memory.decide import Cleared


@dataclass(slots=True)
class Recalled:
    """What a merge has learnt from its memory, in numbers.

    :param first: why nothing was remembered, ``None`` when something was
    :param generation: number of the generation that was used, 0: none
    :param token: tells whether another run has written or remembered since
    :param counts: ``edits`` and ``cleared`` (fields), ``gone``, ``moved`` (records with another address), ``new``
    :param shrunken: connections whose complete reads gave too few records to conclude deletions
    :param vanished: connection types and fields of which most values were gone at once
    :param edits: connection type → field → number of changes that were noticed
    """

    first: str | None = None
    generation: int = 0
    token: str = ""
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("edits", "cleared", "gone", "moved", "new"), 0)
    )
    shrunken: list[str] = field(default_factory=list)
    vanished: list[tuple[str, str]] = field(default_factory=list)
    edits: dict[str, dict[str, int]] = field(default_factory=dict)


class Policy(Protocol):
    """What of a merge's policy counts here."""

    @property
    def priority(self) -> tuple[str, ...]:
        """Sources, best first."""

    @property
    def allow(self) -> dict[str, tuple[str, ...]]:
        """Source → the only fields that it may set."""

    @property
    def cleared(self) -> Cleared:
        """What follows when somebody empties a field."""
