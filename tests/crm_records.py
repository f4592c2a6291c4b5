"""What the sandbox's CRMs hold, in a form in which two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def records_in(crm: str, store: Any) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield address and profile of every record, without ids and times."""
    if crm == "hubspot":
        for contact in store.contacts.values():
            yield contact.properties.get("email"), contact.properties
    elif crm == "persistiq":
        for lead in store.leads.values():
            yield lead.data.get("email"), {**lead.data, "status": lead.status, "optedout": lead.optedout}
    else:
        for funnel in store.funnels.values():
            for contact in funnel.contacts.values():
                kept = {name: value for name, value in contact.items() if name not in ("id", "meta")}
                yield contact.get("email"), {**kept, "funnel": funnel.id}


def by_address(records: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, list[str]]:
    """Return the records of each address, in a form that can be compared."""
    held: dict[str, list[str]] = {}
    for address, profile in records:
        held.setdefault(address, []).append(json.dumps(profile, sort_keys=True))
    return {address: sorted(profiles) for address, profiles in held.items()}
