"""PersistIQ's names: lead fields, event groups, webhook settings, and how its lead and ours turn into each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import boolean, json_body, plain_value, text_value
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.schema import Lead, leftover, mark, text
from airflow_providers_leads.leads.model.statuses import bounced, opted_out

EVENT_GROUPS: Final = ("campaign", "settings", "lead_detail")
"""Groups of ``list_events``; https://apidocs.persistiq.com/#events lists the kinds in each."""

_HOOKS: Final = ("post_new_prospect", "post_updated_prospect", "raw_events", "post_email_reply", "post_email_opened")
WEBHOOK_SETTINGS: Final = tuple(name for hook in _HOOKS for name in (hook, f"{hook}_url"))
"""Settings of the webhook plugin: per kind of message whether it is sent, and the URL."""

BUILT_IN: Final[Mapping[str, str]] = {
    "first_name": "first_name",
    "last_name": "last_name",
    "phone": "phone",
    "company": "company_name",
    "title": "title",
    "address": "address",
    "city": "city",
    "state": "state",
    "industry": "industry",
}
# Lead columns without a built-in field: written only where the account has such a field.
_CUSTOM: Final[Mapping[str, tuple[str, ...]]] = {
    "website": ("website",),
    "postal_code": ("postal_code", "zip"),
    "country": ("country",),
}
_READ: Final[Mapping[str, tuple[str, ...]]] = {
    **{field: (name,) for field, name in BUILT_IN.items()},
    **_CUSTOM,
    "website": ("website", "domain"),
}
HELD: Final = frozenset({"email", *(name for names in _READ.values() for name in names)})
"""PersistIQ fields that are a lead's own."""
_READ_APART: Final = frozenset({"id", "status", "data", "optedout", "bounced"})


def field_names(account_fields: Collection[str]) -> dict[str, str]:
    """Return lead field → PersistIQ field for what can be written to an account.

    :param account_fields: names of the account's lead fields
    """
    custom = {field: next((n for n in names if n in account_fields), None) for field, names in _CUSTOM.items()}
    return {**BUILT_IN, **{field: name for field, name in custom.items() if name}}


def webhook_setting(name: str, value: object) -> bool | str:
    """Return a setting of the webhook plugin as it stands in a request; templates give booleans as text.

    :raises ValueError: naming the setting, for what is no boolean, or no text where it is an address
    """
    if not name.endswith("_url"):
        return boolean(name, value)
    meant = plain_value(name, value)
    return "" if meant is None else text_value(name, meant).strip()


def lead_values(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a lead as they stand in a request: no missing ones, and no white space around an address.

    :raises ValueError: naming the argument, when JSON can't say one of them, or a field has no name
    """
    sent: dict[str, Any] = json_body(name, values)
    if not all(field.strip() for field in sent):
        raise ValueError(f"{name} must have names of lead fields as its keys")
    if isinstance(address := sent.get("email"), str):
        sent["email"] = address.strip()
    return sent


def to_lead(row: Mapping[str, Any], conn_id: str) -> Lead:
    """Return a PersistIQ lead as a lead; PersistIQ tells no time of creation or change.

    :param row: as the API gives it
    :param conn_id: the connection it was read over
    """
    data = row.get("data")
    rest: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    email = text(rest.pop("email", None))
    values: dict[str, str | None] = {}
    for field, names in _READ.items():
        for name in names:
            if name in rest and (value := text(rest[name])):
                values[field] = value
                del rest[name]
                break
    rest |= {name: value for name, value in row.items() if name not in _READ_APART}
    status = text(row.get("status"))
    return Lead(
        source="persistiq",
        source_scope=conn_id,
        source_id=str(row.get("id") or ""),
        email=email,
        email_key=email_key(email),
        first_name=values.get("first_name"),
        last_name=values.get("last_name"),
        phone=values.get("phone"),
        company=values.get("company"),
        title=values.get("title"),
        website=values.get("website"),
        address=values.get("address"),
        city=values.get("city"),
        state=values.get("state"),
        postal_code=values.get("postal_code"),
        country=values.get("country"),
        industry=values.get("industry"),
        status=status,
        # The reference's samples have a lead without its flags, and its status alone says what became of it.
        opted_out=opted_out(mark(row.get("optedout")), status),
        bounced=bounced(mark(row.get("bounced")), status),
        properties=leftover(rest),
    )
