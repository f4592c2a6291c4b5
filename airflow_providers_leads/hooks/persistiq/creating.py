"""Creating PersistIQ leads ten by ten, and finding out about those that the answer leaves out."""

from __future__ import annotations

import html
import math
import re
import threading
import time
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import one_of
from airflow_providers_leads.hooks.batches import Chunk
from airflow_providers_leads.hooks.persistiq.answers import (
    Matching,
    Record,
    person,
    person_of,
    records_in,
    settle_chunk,
    unaccounted,
)
from airflow_providers_leads.hooks.persistiq.leads import PersistIQLeads
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
        self._matching = Matching(
            what=f"{hook.label}: POST /v1/leads",
            of_input=lambda lead: person(lead.get("email")),
            of_record=person_of,
            of_problem=lambda problem: person_of(problem.get("lead")),
            is_new=self._is_new,
        )

    def __call__(self, chunk: Chunk) -> BatchResult:
        """Create one chunk of leads; with ``dup`` a repetition does no harm."""
        answer = self._hook.request(
            "POST",
            "/v1/leads",
            json={**self._more, "leads": [lead for _, lead in chunk]},
            idempotent=True,
            expect=lambda body: isinstance(body, dict),
            partial=True,
        )
        records = [record for record in records_in(answer.body, "lead", "leads") if record.get("id")]
        result, missing = settle_chunk(chunk, answer, records, self._matching)
        if missing:
            result = merge_batches([result, self._settle_missing(missing, answer)])
        if answer.unclear_since is not None:
            for done in result.succeeded:
                # It may be there because the request whose answer was lost has made it.
                done.new = done.new or None
        return result

    def _is_new(self, lead: Mapping[str, Any], record: Record) -> bool | None:
        key = person(lead.get("email"))
        met_before = key in self._ids
        self._ids[key] = str(record["id"])
        if met_before or not self._skips:
            return False if met_before else None
        # Whether skipped duplicates are listed is not documented. If they are, they keep their own values; a new lead
        # has what was sent, or what PersistIQ makes of it.
        held = record.get("data") or {}
        sent = ((text(value), text(held[name])) for name, value in lead.items() if name != "email" and name in held)
        return not record.get("sent_count") and all(value is None or _made_of(other, value) for value, other in sent)

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
