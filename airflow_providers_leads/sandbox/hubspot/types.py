"""HubSpot's object types and the association types between them, as a fresh account has them."""

from __future__ import annotations

TYPE_NAMES = {
    "contacts": ("contact", "0-1"),
    "companies": ("company", "0-2"),
    "deals": ("deal", "0-3"),
    "tickets": ("ticket", "0-5"),
    "calls": ("call", "0-48"),
    "emails": ("email", "0-49"),
    "meetings": ("meeting", "0-47"),
    "notes": ("note", "0-46"),
    "tasks": ("task", "0-27"),
}
ALIASES = {alias: name for name, aliases in TYPE_NAMES.items() for alias in (name, *aliases)}

# Type id and label from contacts; the first of each is the unlabelled one.
FROM_CONTACT: dict[str, tuple[tuple[int, str | None, str], ...]] = {
    "companies": (
        (279, None, "HUBSPOT_DEFINED"),
        (1, "Primary", "HUBSPOT_DEFINED"),
        (36, "Decision maker", "USER_DEFINED"),
        (38, "Billing contact", "USER_DEFINED"),
    ),
    "contacts": ((449, None, "HUBSPOT_DEFINED"),),
    "deals": ((4, None, "HUBSPOT_DEFINED"),),
    "tickets": ((15, None, "HUBSPOT_DEFINED"),),
    "calls": ((193, None, "HUBSPOT_DEFINED"),),
    "emails": ((197, None, "HUBSPOT_DEFINED"),),
    "meetings": ((199, None, "HUBSPOT_DEFINED"),),
    "notes": ((201, None, "HUBSPOT_DEFINED"),),
    "tasks": ((203, None, "HUBSPOT_DEFINED"),),
}
_PAIRS = {
    279: 280, 1: 2, 36: 35, 38: 39, 449: 449, 4: 3, 15: 16, 193: 194, 197: 198, 199: 200, 201: 202, 203: 204,
}  # fmt: skip
REVERSE = _PAIRS | {back: there for there, back in _PAIRS.items()}


def kinds_between(one: str, other: str) -> dict[int, tuple[str | None, str]]:
    """Return the type ids that lead from one object type to the other, with label and category."""
    if one == "contacts":
        return {number: (label, category) for number, label, category in FROM_CONTACT.get(other, ())}
    if other == "contacts":
        return {REVERSE[number]: (label, category) for number, label, category in FROM_CONTACT.get(one, ())}
    return {}
