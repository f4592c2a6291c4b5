"""What PersistIQ's answers mean: HTTP 200 is no success by itself, and a batch answer may leave inputs out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from airflow_providers_leads.hooks.batches import UNACCOUNTED, Chunk
from airflow_providers_leads.hooks.persistiq.wire import PROBLEMS, read_problem
from airflow_providers_leads.hooks.trouble import trouble
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsServerError, LeadsValidationError, scrub
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, Succeeded

Record = dict[str, Any]


def person(address: object) -> str:
    """Return what an address is matched by: its key, else its lower-cased text."""
    written = address if isinstance(address, str) else ""
    return email_key(written) or written.strip().lower()


def person_of(lead: Mapping[str, Any] | None) -> str | None:
    """Return what a lead of an answer is matched by, ``None`` when it names no address, be it an empty one."""
    data = lead.get("data", lead) if isinstance(lead, dict) else None
    return person(data["email"]) if isinstance(data, dict) and "email" in data else None


def address_of(lead: Mapping[str, Any]) -> str | None:
    """Return what a lead's address field holds, as it stands there."""
    data = lead.get("data")
    held = data.get("email") if isinstance(data, dict) else None
    return held if isinstance(held, str) else None


def refused(body: Any) -> bool:
    """Tell whether a success answer says that the call failed.

    The errors of some statuses are documented without ``status``, and so may be one that comes with another.
    """
    return isinstance(body, dict) and (body.get("status") == "error" or bool(body.get("error")))


def raise_refusal(answer: Answer, what: str) -> NoReturn:
    """Turn a success answer that says "error" into the error it is.

    :param what: names connection and request for the message
    :raises LeadsValidationError: with the vendor's reason
    :raises LeadsServerError: when the reason is a trouble of the vendor's own, which may pass
    """
    problem = read_problem(answer.headers, answer.body)
    listed = [read_problem({}, {"error": entry}) for entry in problems_in(answer.body)]
    words = problem.words or "; ".join(entry.words for entry in listed[:5])
    category = problem.category or next((entry.category for entry in listed if entry.category), None)
    own = trouble(category, words=words)
    cure = "" if own else PROBLEMS.cure((category, words))
    raise (LeadsServerError if own else LeadsValidationError)(
        f"{what} answered {answer.status}, but says that it failed ({category or 'no reason given'}). {cure}".strip(),
        status=answer.status,
        category=category,
        request_id=problem.request_id,
        words=words,
        ambiguous=own == "unclear",
        not_found=problem.not_found,
        exists=problem.exists,
        cure=cure,
    )


def records_in(body: Any, one: str, many: str) -> list[Record]:
    """Return the records of an answer, which holds them as a list (reference) or as one object (OpenAPI file)."""
    if not isinstance(body, dict):
        return []
    found = body.get(many) if isinstance(body.get(many), list) else [body.get(one)]
    return [record for record in found or () if isinstance(record, dict)]


def problems_in(body: Any) -> Iterable[Record]:
    """Yield an answer's problems in one form; they come as objects, as texts, in ``errors`` or in ``error``."""
    if not isinstance(body, dict):
        return
    errors = body.get("errors")
    for entry in [*(errors if isinstance(errors, list) else [errors]), body.get("error")]:
        if isinstance(entry, dict):
            yield entry
        elif isinstance(entry, str) and entry:
            yield {"message": entry}


@dataclass(frozen=True, slots=True)
class Matching:
    """How the entries of a batch answer find their inputs; a key is ``None`` where an entry names nothing.

    :param what: names connection and request for messages
    :param of_input: the key of an input
    :param of_record: the key of a record in the answer
    :param of_problem: the key of a problem in the answer
    :param is_new: (input, record) → was the record created by this call; ``None`` when the answer doesn't tell
    :param exists_is_fine: an input that "has already been taken" is where it should be
    :param idempotent: an input whose fate is unclear may be sent again
    """

    what: str
    of_input: Callable[[Any], str]
    of_record: Callable[[Record], str | None]
    of_problem: Callable[[Record], str | None]
    is_new: Callable[[Any, Record], bool | None]
    exists_is_fine: bool = False
    idempotent: bool = True


def settle_chunk(
    chunk: Chunk, answer: Answer, records: Iterable[Record], matching: Matching
) -> tuple[BatchResult, Chunk]:
    """Return what a batch answer says became of its inputs, and the inputs that it doesn't mention.

    :raises LeadsValidationError: when the answer refuses the call as such, and names none of its inputs
    """
    request_id = read_problem(answer.headers, {}).request_id
    # An entry without a name in the answer to a single input can only be about that one.
    only = matching.of_input(chunk[0][1]) if len(chunk) == 1 else None

    def named(key: str | None) -> str | None:
        return only if key is None else key

    good = {named(matching.of_record(record)): record for record in records}
    bad: dict[str | None, list[Record]] = defaultdict(list)
    for problem in problems_in(answer.body):
        bad[named(matching.of_problem(problem))].append(problem)

    result = BatchResult()
    missing: Chunk = []
    met: set[str] = set()

    def settle_problem(index: int, item: Any, problem: Record) -> None:
        found = read_problem({}, {"error": problem})
        if found.exists and matching.exists_is_fine:
            result.succeeded.append(Succeeded(index=index, input=item, new=False))
            return
        reason = found.reason or "no reason given"
        own = trouble(found.category, found.codes, found.words)
        failure = Failed(
            index=index, input=item, category=found.category, reason=reason, request_id=request_id,
            ambiguous=own == "unclear" and not matching.idempotent, refused=own is None,
            passing=own == "not_done" or (own == "unclear" and matching.idempotent),
        )  # fmt: skip
        result.failed.append(failure)

    for index, item in chunk:
        key = matching.of_input(item)
        repeated = key in met
        met.add(key)
        if key in good and not (repeated and bad.get(key)):
            record = good[key]
            new = False if repeated else matching.is_new(item, record)
            result.succeeded.append(Succeeded(index=index, input=item, id=_text_id(record), record=record, new=new))
        elif problems := bad.get(key):
            settle_problem(index, item, problems.pop(0) if len(problems) > 1 else problems[0])
        else:
            missing.append((index, item))
    nameless = bad.get(None, [])
    if nameless and len(nameless) == len(missing):
        # As many problems without a name as inputs without an answer: they belong together.
        for (index, item), problem in zip(missing, nameless, strict=True):
            settle_problem(index, item, problem)
        missing = []
    if refused(answer.body) and len(missing) == len(chunk):
        raise_refusal(answer, matching.what)
    return result, missing


def unaccounted(index: int, item: Any, answer: Answer) -> Failed:
    """Return the failure of an input that an answer doesn't mention."""
    said = "; ".join(scrub(problem.get("message")) for problem in list(problems_in(answer.body))[:3])
    return Failed(
        index=index,
        input=item,
        category=UNACCOUNTED,
        reason=f"the answer doesn't mention it{f' (it says: {said})' if said else ''}",
        request_id=read_problem(answer.headers, {}).request_id,
        ambiguous=True,
    )


def _text_id(record: Record) -> str | None:
    return str(record["id"]) if record.get("id") else None
