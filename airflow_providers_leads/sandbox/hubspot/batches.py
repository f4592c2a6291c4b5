"""HubSpot contacts in batches, with the failure model that the live API shows rather than the one one would expect.

Without trace ids one bad record rejects a whole create or upsert; with an `objectWriteTraceId` of its own on every
input the answer is 207, good records are written and bad ones listed.
https://developers.hubspot.com/docs/api-reference/error-handling#multi-status-errors
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from airflow_providers_leads.sandbox.core.clock import iso_utc
from airflow_providers_leads.sandbox.core.shell import ApiError, Call, Reply
from airflow_providers_leads.sandbox.hubspot.associations import inline_links
from airflow_providers_leads.sandbox.hubspot.contacts import flag, rendered_write
from airflow_providers_leads.sandbox.hubspot.errors import bad_request, conflict
from airflow_providers_leads.sandbox.hubspot.store import Change, HubSpotStore

MAX_INPUTS, MAX_WITH_HISTORY = 100, 50
Input = dict[str, Any]
NOT_FOUND = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."


class AbsentError(Exception):
    """The record is gone by merging: it stands neither among the results nor among the errors."""


def read_inputs(call: Call, limit: int = MAX_INPUTS) -> tuple[Input, list[Input]]:
    """Return the body and its inputs, or 400 for the whole call."""
    body = call.json_object()
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise bad_request("Invalid input JSON: inputs must be a list of objects")
    if not 1 <= len(inputs) <= limit:
        raise bad_request(f"The maximum number of inputs is {limit}, got {len(inputs)}")
    return body, inputs


def check_ids(inputs: list[Input]) -> None:
    """Refuse the whole call when an id is missing or stands twice, even where trace ids are given."""
    if any(not str(item.get("id") or "") for item in inputs):
        raise bad_request("Invalid input JSON: every input needs an id")
    counts = Counter((item.get("idProperty"), str(item["id"]).lower()) for item in inputs)
    twice = [key for (_, key), number in counts.items() if number > 1]
    if twice:
        raise bad_request(
            f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique", context={"ids": twice}
        )


def finish(store: HubSpotStore, results: list[Any], errors: list[Any], status: int) -> Reply:
    """Answer a batch; results do not follow the order of the inputs, so they are turned around."""
    now = iso_utc(store.clock.now())
    body = {"status": "COMPLETE", "results": results[::-1], "startedAt": now, "completedAt": now}
    return Reply(body | {"numErrors": len(errors), "errors": errors}, 207) if errors else Reply(body, status)


def run(
    store: HubSpotStore,
    inputs: list[Input],
    plan: Callable[[Input], tuple[Change, bool]],
    status: int = 200,
    *,
    tell_new: bool = False,
) -> Reply:
    """Plan and commit every input, each for itself when all are traced, else all or nothing."""
    traces = [item.get("objectWriteTraceId") for item in inputs]
    traced = all(isinstance(trace, str) and trace for trace in traces) and len(set(traces)) == len(traces)
    results: list[Any] = []
    errors: list[Any] = []
    claimed: set[tuple[str, str]] = set()

    def write(item: Input, change: Change, new: bool) -> None:
        body = rendered_write(store, change.commit(), change.names)
        if tell_new:
            body["new"] = new
        if store.config.echo_trace_ids and item.get("objectWriteTraceId"):
            body["objectWriteTraceId"] = item["objectWriteTraceId"]
        results.append(body)

    planned = []
    for item in inputs:
        try:
            change, new = plan(item)
            if traced:
                write(item, change, new)
                continue
            if change.claims & claimed:
                raise conflict(None)
            claimed |= change.claims
            planned.append((item, change, new))
        except AbsentError:
            continue
        except ApiError as error:
            if not traced and error.body.get("category") != "OBJECT_NOT_FOUND":
                raise
            errors.append(entry(error, item))
    for item, change, new in planned:
        write(item, change, new)
    return finish(store, results, errors, status)


def entry(error: ApiError, item: Input) -> dict[str, Any]:
    """Turn an error answer into one entry of a 207."""
    trace = item.get("objectWriteTraceId")
    body = {key: value for key, value in error.body.items() if key != "correlationId"}
    context = body.get("context", {}) | ({"objectWriteTraceId": [trace]} if trace else {})
    return {"errors": []} | body | {"context": context, "links": {}}


def batch_read(store: HubSpotStore, call: Call) -> Reply:
    """Read contacts by id or unique property; all unknown ids share one error."""
    archived = flag(call, "archived")
    body, inputs = read_inputs(call)
    history = body.get("propertiesWithHistory") or ()
    if history and len(inputs) > MAX_WITH_HISTORY:
        raise bad_request(f"The maximum number of inputs with history is {MAX_WITH_HISTORY}, got {len(inputs)}")
    if any("idProperty" in item for item in inputs):
        raise bad_request("Invalid input JSON: idProperty belongs beside inputs")
    check_ids(inputs)
    id_property = body.get("idProperty")
    store.check_id_property(id_property)
    results, missing = [], []
    for item in inputs:
        key = str(item["id"])
        if archived:
            contact = store.contacts.get(int(key)) if key.isdecimal() else None
            contact = contact if contact and contact.archived is not None else None
        else:
            contact = store.resolve(key, id_property, through_merge=False)
        if contact:
            results.append(store.render(contact, body.get("properties"), history))
        elif not (id_property is None and key.isdecimal() and int(key) in store.merged):
            missing.append(key)
    errors = [not_found(missing)] if missing else []
    return finish(store, results, errors, 200)


def not_found(ids: list[str]) -> dict[str, Any]:
    """Return the one error that holds every unknown id."""
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": NOT_FOUND,
        "context": {"ids": ids},
        "links": {},
        "errors": [],
    }


def batch_create(store: HubSpotStore, call: Call) -> Reply:
    """Create contacts; one address twice is a conflict of the whole call."""
    _, inputs = read_inputs(call)
    emails = Counter(str(email).lower() for item in inputs if (email := (item.get("properties") or {}).get("email")))
    if twice := [email for email, number in emails.items() if number > 1]:
        raise conflict(getattr(store.resolve(twice[0], "email"), "id", None))

    def plan(item: Input) -> tuple[Change, bool]:
        return store.plan_create(item.get("properties"), inline_links(store, item.get("associations"))), True

    return run(store, inputs, plan, 201)


def refuse_key(name: str | None) -> None:
    """Refuse a key that batch writes do not take; the text is the live API's."""
    raise bad_request(f"Unable to perform update/upsert by non-unique 0-1 property {name}")


def batch_update(store: HubSpotStore, call: Call) -> Reply:
    """Update contacts by record id or custom unique property; email is refused, and so is naming hs_object_id."""
    _, inputs = read_inputs(call)
    check_ids(inputs)
    for name in {str(item["idProperty"]) for item in inputs if item.get("idProperty")}:
        if name in ("email", "hs_object_id") or not store.properties.get(name, {}).get("hasUniqueValue"):
            refuse_key(name)

    def plan(item: Input) -> tuple[Change, bool]:
        key = str(item["id"])
        contact = store.resolve(key, item.get("idProperty"), through_merge=False)
        if contact is None:
            if "idProperty" not in item and key.isdecimal() and int(key) in store.merged:
                raise AbsentError
            raise ApiError(404, not_found([key]))
        return store.plan_update(contact, item.get("properties")), False

    return run(store, inputs, plan)


def batch_upsert(store: HubSpotStore, call: Call) -> Reply:
    """Create or update by email or by a custom unique property."""
    _, inputs = read_inputs(call)
    check_ids(inputs)
    for name in {str(item["idProperty"]) for item in inputs if item.get("idProperty")}:
        if not store.properties.get(name, {}).get("hasUniqueValue"):
            refuse_key(name)
    if any(item.get("associations") for item in inputs):
        raise bad_request("Invalid input JSON: upsert inputs take no associations")

    def plan(item: Input) -> tuple[Change, bool]:
        name, key = item.get("idProperty"), str(item["id"])
        if not isinstance(item.get("properties"), dict):
            raise bad_request("Invalid input JSON: properties is required")
        contact = store.resolve(key, name)
        if contact:
            return store.plan_update(contact, item["properties"]), False
        if name is None:
            # Without idProperty the id is a record id, and those cannot be chosen by the caller.
            raise ApiError(404, not_found([key]))
        if name != "email" and item["properties"].get(name) in (None, ""):
            raise bad_request(f"The id property {name} must stand in properties to create a contact")
        return store.plan_create({name: key} | item["properties"]), True

    return run(store, inputs, plan, tell_new=True)


def batch_archive(store: HubSpotStore, call: Call) -> Reply:
    """Archive contacts; ids that name none are passed over."""
    _, inputs = read_inputs(call)
    check_ids(inputs)
    for item in inputs:
        if contact := store.resolve(str(item["id"]), through_merge=False):
            store.archive(contact)
    return Reply(status=204)
