"""What is to be written, and what became of it: every input ends in exactly one place."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

Action = Literal["create", "update", "unchanged", "suppress"]
Outcome = Literal["created", "updated", "unchanged", "suppressed", "failed", "ambiguous"]

OUTCOMES: tuple[Outcome, ...] = ("created", "updated", "unchanged", "suppressed", "failed", "ambiguous")


class PlanRow(msgspec.Struct, kw_only=True, gc=False):
    """What one golden record means for one destination.

    :param email_key: the person
    :param action: ``create``, ``update`` (of ``target_id``), ``unchanged`` or ``suppress``
    :param reason: why it is suppressed or unchanged, or what is worth knowing (duplicates in the destination)
    :param target_id: the destination's own id of the existing record
    :param target_scope: what the id lives in (Perspective: the funnel)
    :param records: how many records of this person the destination holds; of several, one is written
    :param values: lead field → value to write; the email itself is used only to create
    :param before: lead field → value that the destination holds now, for the fields in ``values``
    :param properties: the destination's custom property or field → value to write
    :param properties_before: the same → value that the destination holds now
    :param requests: what writing it costs in API calls; a share of one where the API takes several records per call
    :param addresses: further addresses of the person, as email keys, as far as the merge and the destination know them
    """

    email_key: str
    action: Action
    reason: str | None = None
    target_id: str | None = None
    target_scope: str | None = None
    records: int = 0
    values: dict[str, str] = {}
    before: dict[str, str | None] = {}
    properties: dict[str, str] = {}
    properties_before: dict[str, str | None] = {}
    requests: float = 0.0
    addresses: list[str] = []


class WriteResult(msgspec.Struct, kw_only=True, gc=False):
    """What became of one plan row.

    :param outcome: ``ambiguous``: the write was sent and no answer tells whether it took effect
    :param target_id: the destination's id of the record
    :param reason: the vendor's reason or ours, free of addresses
    :param request_id: the vendor's id of the request
    :param fields: the lead fields that were written
    :param refused: true: it failed because the CRM refuses this record, not because a request didn't get through
    :param stored: written field → what the answer says that the CRM has made of its value, where that is another one
    :param unsure: true: it is there as created, and no answer tells whether this run or somebody else made it
    """

    email_key: str
    outcome: Outcome
    target_id: str | None = None
    reason: str | None = None
    request_id: str | None = None
    fields: list[str] = []
    refused: bool = False
    stored: dict[str, str] = {}
    unsure: bool = False


class Succeeded(msgspec.Struct, kw_only=True):
    """An input that the API took.

    :param index: position of the input in the call
    :param input: the input itself
    :param id: the record's id, where the answer names it
    :param record: the record as the answer gives it, where it does
    :param new: true: created, false: existed before, ``None``: the API doesn't say
    """

    index: int
    input: Any
    id: str | None = None
    record: dict[str, Any] | None = None
    new: bool | None = None


class Failed(msgspec.Struct, kw_only=True):
    """An input that the API did not take, or whose fate it left open.

    :param index: position of the input in the call
    :param input: the input itself
    :param category: the vendor's category, ``UNACCOUNTED`` when the answer mentions the input nowhere
    :param reason: the vendor's words without addresses and keys, or ours
    :param request_id: the vendor's id of the request
    :param existing_id: the record that stands in the way, when a conflict names it
    :param ambiguous: the write may have taken effect
    :param refused: the API refuses this very input; false where a request failed that others shared or that got no
        answer, and where it names a trouble of its own
    :param passing: the API names a trouble of its own (an internal error, a limit, a lock) which may pass, and sending
        the input again does no harm
    """

    index: int
    input: Any
    category: str | None = None
    reason: str = ""
    request_id: str | None = None
    existing_id: str | None = None
    ambiguous: bool = False
    refused: bool = False
    passing: bool = False


class BatchResult(msgspec.Struct, kw_only=True):
    """Every input of a batch call exactly once, in ``succeeded`` or ``failed``, each in input order.

    :param succeeded: the inputs that took effect, or were read
    :param failed: the others
    :param ended_by: the error that ended the call before all was sent, ``None`` when none did
    :param retry_after: seconds after which the rest may be sent, where a quota ended it and the vendor says so
    """

    succeeded: list[Succeeded] = []
    failed: list[Failed] = []
    ended_by: str | None = None
    retry_after: float | None = None

    def __bool__(self) -> bool:
        """True when nothing failed."""
        return not self.failed

    @property
    def summary(self) -> dict[str, Any]:
        """Counts and reasons without any record: fit for XCom and logs."""
        reasons: dict[str, int] = {}
        for failed in self.failed:
            key = failed.category or failed.reason or "unknown"
            reasons[key] = reasons.get(key, 0) + 1
        return {
            "succeeded": len(self.succeeded),
            "failed": len(self.failed),
            "created": sum(s.new is True for s in self.succeeded),
            "reasons": reasons,
        }


def merge_batches(parts: list[BatchResult]) -> BatchResult:
    """Join the results of a chunked call; the parts' indices are those of the whole call already."""
    return BatchResult(
        succeeded=sorted((s for p in parts for s in p.succeeded), key=lambda s: s.index),
        failed=sorted((f for p in parts for f in p.failed), key=lambda f: f.index),
    )


Fate = Literal["enrolled", "unchanged", "suppressed", "failed", "ambiguous"]
FATES: Final[tuple[Fate, ...]] = get_args(Fate)
MAYBE_NOT_NEW: Final = "maybe_not_new"
"""Reason of people of whom nothing tells that the run made them, where new ones alone are to join."""


class Enrolment(msgspec.Struct, kw_only=True):
    """What became of one person.

    :param email_key: the person
    :param outcome: ``enrolled``; ``unchanged``: is or was in the campaign already; ``suppressed``: must not be mailed,
        or the CRM has no lead of theirs; ``failed``; ``ambiguous``: sent, and no answer tells whether it took effect
    :param target_id: id of their lead in the CRM, ``None`` where it has none
    :param reason: why, free of addresses
    :param request_id: the vendor's id of the request
    """

    email_key: str
    outcome: Fate
    target_id: str | None = None
    reason: str | None = None
    request_id: str | None = None
