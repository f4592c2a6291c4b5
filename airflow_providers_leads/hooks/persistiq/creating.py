"""Creating PersistIQ leads ten by ten, and finding out about those that the answer leaves out."""

from __future__ import annotations

import html
import math
import re
import threading
import time
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import one_of
from airflow_providers_leads.hooks.batches import Chunk
from airflow_providers_leads.hooks.persistiq.answers import (
    Matching,
    Record,
    person,
    person_of,
    problems_in,
    records_in,
    settle_chunk,
    unaccounted,
)
from airflow_providers_leads.hooks.persistiq.leads import PersistIQLeads
from airflow_providers_leads.hooks.persistiq.wire import read_problem
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.outcomes import BatchResult, Succeeded, merge_batches
from airflow_providers_leads.leads.model.schema import text

LEADS_PER_CALL: Final = 10
_DUPLICATES: Final = ("skip", "update")
# A minute's quota of single questions; whoever has more of them is served by the list, a hundred leads per request.
_QUESTIONS: Final = 100
_WEB: Final = r"^\s*(https?://)?(www\.)?"
# Of a phone number, which other numbers hardly end in.
_DIGITS: Final = 7
# An answer's Date is cut to the second, and whether a bound is counted in is not documented.
_MARGIN: Final = 2.0
# What somebody else made meanwhile would pass for ours.
_LONGEST_WAIT: Final = 10.0


class LeadCreator:
    """Sends chunks of one create; remembers what it learnt of leads that exist, so that nothing is asked twice.

    :param hook: sends the requests
    :param dup: what happens to a lead that is there already: ``skip`` or ``update``
    :param creator_id: user who counts as creator of the new leads
    """

    def __init__(self, hook: PersistIQLeads, dup: str = "skip", creator_id: str | None = None) -> None:
        self._hook = hook
        self._skips = one_of("dup", dup, _DUPLICATES) == "skip"
        self._more = {"dup": dup} | ({"creator_id": creator_id} if creator_id else {})
        self._ids: dict[str, str] = {}
        self._questions = 0
        # Batches are sent side by side, and the list is long: one reads it for all.
        self._asking = threading.Lock()
        self._read_at = -math.inf
        self._lists_skipped: bool | None = None
        self._knows_times: bool | None = None
        self._matching = Matching(
            what=f"{hook.label}: POST /v1/leads",
            of_input=lambda lead: person(lead.get("email")),
            of_record=person_of,
            of_problem=lambda problem: person_of(problem.get("lead")),
            is_new=self._is_new,
        )

    def __call__(self, chunk: Chunk) -> BatchResult:
        """Create one chunk of leads; with ``dup`` a repetition does no harm."""
        begun = time.monotonic()
        answer = self._create([lead for _, lead in chunk])
        took = time.monotonic() - begun
        result, missing = settle_chunk(chunk, answer, _leads_in(answer), self._matching)
        if missing:
            result = merge_batches([result, self._settle_missing(missing, answer)])
        if answer.unclear_since is not None:
            for done in result.succeeded:
                # It may be there because the request whose answer was lost has made it.
                done.new = done.new or None
        elif self._skips:
            self._settle_by_time([done for done in result.succeeded if done.new is None], answer, took)
        return result

    def _create(self, leads: list[Mapping[str, Any]]) -> Answer:
        return self._hook.request(
            "POST",
            "/v1/leads",
            json={**self._more, "leads": leads},
            idempotent=True,
            expect=lambda body: isinstance(body, dict),
            partial=True,
        )

    def _is_new(self, lead: Mapping[str, Any], record: Record) -> bool | None:
        key = person(lead.get("email"))
        met_before = key in self._ids
        self._ids[key] = str(record["id"])
        if met_before or not self._skips:
            return False if met_before else None
        if any(record.get(name) for name in ("sent_count", "replied_count", "last_sent_at")):
            return False
        if not self._may_be_skipped(lead):
            return True
        # A skipped one keeps its own values; a new one has what was sent, or what PersistIQ makes of it. That both are
        # the same says little: whoever made the lead may have had the values from where they came to us.
        held = record.get("data") or {}
        sent = ((text(value), text(held[name])) for name, value in lead.items() if name != "email" and name in held)
        return None if all(value is None or _made_of(other, value) for value, other in sent) else False

    def _may_be_skipped(self, lead: Mapping[str, Any]) -> bool:
        """Tell whether an answer names leads as well that were there before and left alone, which is not documented.

        Asked once, with a lead that is there by now: sent again it is left alone, and the answer names it or doesn't.

        :param lead: that an answer has just named
        """
        with self._asking:
            if self._lists_skipped is None:
                try:
                    answer = self._create([lead])
                    others = [
                        entry for entry in problems_in(answer.body) if not read_problem({}, {"error": entry}).exists
                    ]
                    self._lists_skipped = bool(_leads_in(answer) or others)
                except LeadsApiError:
                    # The create itself went through. What can't be known is not asked again and again.
                    self._lists_skipped = True
            return self._lists_skipped

    def _settle_by_time(self, unsure: list[Succeeded], answer: Answer, took: float) -> None:
        """Tell which leads were made since they were sent, where answers name those as well that were there before."""
        sent_at = _date_of(answer)
        if not unsure or sent_at is None or took > _LONGEST_WAIT:
            return
        try:
            with self._asking:
                if self._knows_times is None:
                    # The filter is documented in one of two places only; where it is ignored, it finds leads to come.
                    tomorrow = sent_at + timedelta(days=1)
                    self._knows_times = next(self._hook.list_leads(created_after=tomorrow), None) is None
            if self._knows_times:
                since = sent_at - timedelta(seconds=took + _MARGIN)
                made = {str(row.get("id")) for row in self._hook.list_leads(created_after=since)}
                for done in unsure:
                    done.new = done.id in made
        except LeadsApiError:
            # They stay unsure: the create itself went through.
            self._knows_times = False

    def _settle_missing(self, missing: Chunk, answer: Answer) -> BatchResult:
        result, answered = BatchResult(), time.monotonic()
        for index, lead in missing:
            try:
                found = self._id_of(str(lead.get("email") or ""), answered) if self._skips else None
            except LeadsApiError:
                # The create itself went through; its result is worth more than this question.
                found = None
            if found:
                result.succeeded.append(Succeeded(index=index, input=lead, id=found, new=False))
            else:
                result.failed.append(unaccounted(index, lead, answer))
        return result

    def _id_of(self, address: str, answered: float) -> str | None:
        with self._asking:
            return self._look_up(address, answered)

    def _look_up(self, address: str, answered: float) -> str | None:
        key = person(address)
        # A list that was read before this chunk was answered says nothing of leads that the chunk itself created.
        if not key or key in self._ids or self._read_at >= answered:
            return self._ids.get(key)
        if self._questions < _QUESTIONS:
            self._questions += 1
            row = next(self._hook.list_leads(email=address), None)
            if row is None:
                return None
            if person_of(row) == key:
                return self._ids.setdefault(key, str(row.get("id") or ""))
        begun = time.monotonic()
        for row in self._hook.list_leads():
            if other := person_of(row):
                self._ids.setdefault(other, str(row.get("id") or ""))
        self._read_at = begun
        return self._ids.get(key)


def _leads_in(answer: Answer) -> list[Record]:
    return [record for record in records_in(answer.body, "lead", "leads") if record.get("id")]


def _date_of(answer: Answer) -> datetime | None:
    """Return the time at which an answer was given, by the clock of whoever gave it."""
    try:
        date = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _made_of(held: str | None, sent: str) -> bool:
    """Tell whether a CRM may have made a value of another: in other groups or case, escaped, plainer or cut off."""
    if held and sent.startswith(held):
        return True
    one, other = (_bare(value) for value in (held or "", sent))
    letters = iter(other)
    # Some letters may be left out, and of a phone number the code of the country.
    shorter = len(one) > len(other) // 2 and all(letter in letters for letter in one)
    number = one.isdigit() and one.lstrip("0")[-_DIGITS:] == other[-_DIGITS:]
    return bool(one) and (other.startswith(one) or shorter or number)


def _bare(value: str) -> str:
    plain = unicodedata.normalize("NFKD", html.unescape(value).replace("ß", "ss")).casefold()
    return "".join(char for char in re.sub(_WEB, "", plain) if char.isascii() and char.isalnum())
