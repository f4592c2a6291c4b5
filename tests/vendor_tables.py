"""What HubSpot, PersistIQ and Perspective take, call by call: our own table, from their references and files.

Where a document leaves a bound open, the one that the other documents or the live API show is taken.
"""

from __future__ import annotations

from typing import Any

from vendor_requests import (
    Check,
    Endpoint,
    anything,
    both,
    each,
    each_value,
    flag,
    number,
    objects,
    one_of,
    text,
)

VERSION = r"20\d\d-(?:0[1-9]|1[0-2])"
SEGMENT, DIGITS = r"[^/]+", r"\d+"
TEXT, NAME, INSTANT = text(), text(r"[^\s]+"), text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
KEY = text(r"(?s).+")

# HubSpot --------------------------------------------------------------------------------------------------------------

BOOL, NAMES = one_of("true", "false"), text(r"[a-z0-9_]+(?:,[a-z0-9_]+)*")
SENSITIVITY = one_of("non_sensitive", "sensitive", "highly_sensitive")
RECORD_ID = text(DIGITS)
PROPERTIES = each_value(text(r"(?s).{0,65536}"))
ASSOCIATION_TYPE = objects(
    {
        "associationCategory": one_of("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED", "WORK"),
        "associationTypeId": number(1),
    }
)
ASSOCIATIONS = each(objects({"to": objects({"id": RECORD_ID}), "types": each(ASSOCIATION_TYPE, 100, 1)}), 10_000)
OPERATORS = one_of(
    "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN",
)  # fmt: skip
FILTER = objects({"propertyName": NAME, "operator": OPERATORS}, value=TEXT, highValue=TEXT, values=each(TEXT, 500, 1))
_GROUPS = each(objects({"filters": each(FILTER, 6)}), 5)


def _few_filters(groups: Any) -> str | None:
    many = sum(len(group["filters"]) for group in groups)
    return f"{many} filters are more than 18" if many > 18 else None


def _no_longer(most: int) -> Check:
    return lambda body: "a search longer than HubSpot takes" if len(str(body)) > most else None


SEARCH = both(
    objects(
        filterGroups=both(_GROUPS, _few_filters), sorts=each(
            objects({"propertyName": NAME, "direction": one_of("ASCENDING", "DESCENDING")}), 1
        ),
        query=text(r"(?s).{0,3000}"), limit=number(1, 200), after=text(DIGITS), properties=each(NAME, 3_000),
    ),
    _no_longer(3_400),
)  # fmt: skip


def _history_is_short(body: Any) -> str | None:
    return "more than 50 inputs with history" if "propertiesWithHistory" in body and len(body["inputs"]) > 50 else None


def _inputs(required: dict[str, Check], most: int = 100, **optional: Check) -> Check:
    # A batch of nothing changes nothing, and asks what the key may do.
    return objects({"inputs": both(each(objects(required, **optional), most), _each_once)})


def _each_once(inputs: Any) -> str | None:
    ids = [one["id"] for one in inputs if "id" in one]
    return "names a record twice" if len(set(ids)) < len(ids) else None


TRACE = text(r"\S+")
READ = both(
    objects(
        {"inputs": both(each(objects({"id": KEY}), 100, 1), _each_once)}, properties=each(NAME, 3_000),
        propertiesWithHistory=each(NAME, 3_000), idProperty=NAME,
    ),
    _history_is_short,
)  # fmt: skip
_READ_ONE = {
    "properties": NAMES, "propertiesWithHistory": NAMES, "archived": BOOL,
    "associations": text(r"[^\s,]+(?:,[^\s,]+)*"),
}  # fmt: skip
_PAGED = {"limit": number(1, 100), "after": NAME}


def _property(*, dated: bool) -> Check:
    option_needs = {"label": TEXT, "value": TEXT, "hidden": flag} | ({"displayOrder": number()} if dated else {})
    return objects(
        {
            "groupName": NAME, "name": text(r"[a-z][a-z0-9_]*"), "label": TEXT,
            "type": one_of("string", "number", "bool", "date", "datetime", "enumeration", "phone_number"),
            "fieldType": one_of(
                "booleancheckbox", "calculation_equation", "checkbox", "date", "file", "html", "number", "phonenumber",
                "radio", "select", "text", "textarea",
            ),
        },
        options=each(objects(option_needs, displayOrder=number(), description=TEXT), 5_000), hasUniqueValue=flag,
        description=TEXT, formField=flag, hidden=flag, displayOrder=number(), calculationFormula=TEXT,
        externalOptions=flag, referencedObjectType=TEXT, dataSensitivity=SENSITIVITY, currencyPropertyName=TEXT,
        showCurrencySymbol=flag, numberDisplayHint=TEXT, textDisplayHint=TEXT,
    )  # fmt: skip


def hubspot() -> list[Endpoint]:
    """Return HubSpot's calls on contacts, in its older paths and in the dated ones."""
    return [*_hubspot("v3", dated=False), *_hubspot(VERSION, dated=True)]


def _hubspot(version: str, *, dated: bool) -> list[Endpoint]:
    contacts = f"/crm/objects/{version}/contacts" if dated else "/crm/v3/objects/contacts"
    record = f"/crm/objects/{version}/contacts/{DIGITS}" if dated else f"/crm/v4/objects/contacts/{DIGITS}"
    pairs = f"/crm/associations/{version}/contacts" if dated else "/crm/v4/associations/contacts"
    properties = f"/crm/properties/{version}/contacts" if dated else "/crm/v3/properties/contacts"
    owners = f"/crm/owners/{version}" if dated else "/crm/v3/owners"
    lists = f"/crm/lists/{version}" if dated else "/crm/v3/lists"
    account, one, links = f"/account-info/{version}", f"{contacts}/{SEGMENT}", f"{record}/associations"
    defined = {"archived": BOOL, "dataSensitivity": SENSITIVITY}
    paged = {"limit": number(1, 500), "after": NAME}
    form = objects(dict.fromkeys(("grant_type", "client_id", "client_secret", "refresh_token"), NAME))
    update = {"id": KEY, "properties": PROPERTIES, "objectWriteTraceId": TRACE}
    return [
        Endpoint("GET", contacts, {**_PAGED, **_READ_ONE}),
        Endpoint("POST", contacts, body=objects({"properties": PROPERTIES}, associations=ASSOCIATIONS)),
        Endpoint("GET", one, {**_READ_ONE, "idProperty": NAME}),
        Endpoint("PATCH", one, {"idProperty": NAME}, objects({"properties": PROPERTIES})),
        Endpoint("DELETE", f"{contacts}/{DIGITS}"),
        Endpoint(
            "POST", f"{contacts}/merge", body=objects({"primaryObjectId": RECORD_ID, "objectIdToMerge": RECORD_ID})
        ),
        Endpoint("POST", f"{contacts}/gdpr-delete", body=objects({"objectId": NAME}, idProperty=one_of("email"))),
        Endpoint("POST", f"{contacts}/search", body=SEARCH),
        Endpoint("POST", f"{contacts}/batch/read", {"archived": BOOL}, READ),
        Endpoint(
            "POST", f"{contacts}/batch/create",
            body=_inputs({"properties": PROPERTIES, "objectWriteTraceId": TRACE}, associations=ASSOCIATIONS),
        ),
        Endpoint("POST", f"{contacts}/batch/update", body=_inputs(update, idProperty=text(r"(?!email$)\S+"))),
        Endpoint("POST", f"{contacts}/batch/upsert", body=_inputs({**update, "idProperty": NAME})),
        Endpoint("POST", f"{contacts}/batch/archive", body=_inputs({"id": RECORD_ID})),
        Endpoint("PUT", f"{links}/default/{SEGMENT}/{DIGITS}"),
        Endpoint("PUT", f"{links}/{SEGMENT}/{DIGITS}", body=each(ASSOCIATION_TYPE, 100, 1)),
        Endpoint("DELETE", f"{links}/{SEGMENT}/{DIGITS}"),
        Endpoint("GET", f"{links}/{SEGMENT}", paged),
        Endpoint("GET", f"{pairs}/{SEGMENT}/labels"),
        Endpoint("POST", f"{pairs}/{SEGMENT}/batch/read", body=_inputs({"id": RECORD_ID}, 1_000, after=NAME)),
        Endpoint("GET", properties, defined),
        Endpoint("POST", properties, body=_property(dated=dated)),
        Endpoint("GET", f"{properties}/(?!groups$|batch$){SEGMENT}", defined),
        Endpoint("POST", f"{properties}/batch/create", body=objects({"inputs": each(_property(dated=dated), 100)})),
        Endpoint("GET", f"{properties}/groups"),
        Endpoint(
            "POST", f"{properties}/groups",
            body=objects({"name": text(r"[a-z0-9_]+"), "label": TEXT}, displayOrder=number(-1)),
        ),
        Endpoint("GET", owners, {**paged, "email": NAME, "archived": BOOL}),
        Endpoint("GET", f"{owners}/{DIGITS}", {"idProperty": one_of("id", "userId"), "archived": BOOL}),
        Endpoint("GET", f"{lists}/{DIGITS}"),
        Endpoint("GET", f"{lists}/object-type-id/0-1/name/{SEGMENT}"),
        Endpoint("GET", f"{lists}/{DIGITS}/memberships", {"limit": number(1, 250), "after": NAME}),
        Endpoint("PUT", f"{lists}/{DIGITS}/memberships/(?:add|remove)", body=each(RECORD_ID, 100_000, 1)),
        Endpoint("GET", f"{lists}/records/0-1/{DIGITS}/memberships", {"after": NAME}),
        Endpoint("GET", f"{account}/details"),
        Endpoint("GET", f"{account}/api-usage/daily/private-apps"),
        Endpoint("POST", f"/oauth/{version}/token", form=form),
    ]  # fmt: skip


# PersistIQ ------------------------------------------------------------------------------------------------------------

# That an address is missing is told of that one lead alone, and a null empties a field where an empty text doesn't.
LEAD = both(each_value(anything), lambda lead: "nested" if "data" in lead else None)
DATA = each_value(lambda value: None)
_WEBHOOKS = ("post_new_prospect", "post_updated_prospect", "raw_events", "post_email_reply", "post_email_opened")
GROUPS = one_of("campaign", "settings", "lead_detail", "lead", "user")


def persistiq() -> list[Endpoint]:
    """Return PersistIQ's calls, those of its reference and of its OpenAPI file."""
    page = {"page": number(1)}
    campaign = f"/v1/campaigns/{SEGMENT}"
    webhooks = {**dict.fromkeys(_WEBHOOKS, flag), **{f"{name}_url": TEXT for name in _WEBHOOKS}}
    return [
        Endpoint("GET", "/v1/users", page),
        Endpoint("GET", "/v1/leads", page | {
            "status": TEXT, "status_id": NAME, "updated_after": INSTANT, "created_after": INSTANT, "email": NAME,
        }),
        Endpoint("GET", f"/v1/leads/{SEGMENT}"),
        Endpoint("POST", "/v1/leads", body=objects(
            {"leads": each(LEAD, 10, 1), "dup": one_of("skip", "update")}, creator_id=NAME
        )),
        Endpoint("PATCH", f"/v1/leads/{SEGMENT}", body=objects(
            status=TEXT, status_id=NAME, owner_id=NAME, bounced=flag, optedout=flag, data=DATA
        )),
        Endpoint("GET", "/v1/lead_statuses", page),
        Endpoint("GET", "/v1/lead_fields", page),
        Endpoint("GET", "/v1/campaigns", page | {"lead_id": NAME, "owner_id": NAME, "name": TEXT}),
        Endpoint("POST", "/v1/campaigns", body=objects({"campaign_name": TEXT, "owner_id": NAME})),
        Endpoint("POST", "/v1/campaigns/duplicate", body=objects({"campaign_id": NAME, "owner_id": NAME}, name=TEXT)),
        Endpoint("GET", f"{campaign}/leads", page),
        Endpoint("POST", f"{campaign}/leads", body=objects({"lead_id": NAME}, mailbox_id=NAME)),
        Endpoint("POST", f"{campaign}/leads", body=objects(
            {"leads": each(objects({"id": NAME}), 100, 1)}, mailbox_id=NAME
        )),
        Endpoint("DELETE", f"{campaign}/leads/{SEGMENT}"),
        Endpoint("GET", f"{campaign}/replies", page | {"lead_id": NAME, "start_at": INSTANT, "end_at": INSTANT}),
        Endpoint("POST", f"{campaign}/replies", body=objects({"inbox_message_id": NAME, "body": TEXT})),
        Endpoint("GET", "/v1/events", page | {
            "group": GROUPS, "campaign": NAME, "lead": NAME, "user": NAME, "start_at": INSTANT, "end_at": INSTANT,
        }),
        Endpoint("GET", "/v1/dnc_domains", page),
        Endpoint("POST", "/v1/dnc_domains", body=objects({"name": text(r"[^\s@/:]+\.[^\s@/:]+")})),
        Endpoint("GET", "/v1/tags", page),
        Endpoint("GET", "/v1/webhook_plugin"),
        Endpoint("PUT", "/v1/webhook_plugin", body=objects(**webhooks)),
    ]  # fmt: skip


# Perspective ----------------------------------------------------------------------------------------------------------


def perspective() -> list[Endpoint]:
    """Return Perspective's eight calls."""
    funnel = f"/v1/funnels/{SEGMENT}"
    window = {"from": INSTANT, "to": INSTANT, "offset": number(-1_440, 1_440)}
    bounds = frozenset({"from", "to"})
    address = objects(**dict.fromkeys(("street", "houseNumber", "postalCode", "city", "state", "country"), TEXT))
    charts = (
        "chart_activity_by_daytime|chart_contacts_over_time|chart_visitor_devices|chart_top_utm_sources"
        "|chart_time_on_page|chart_button_clicks|chart_page_to_page_conversion_rate"
    )
    kpis = (
        "kpi_conversion_rate|kpi_completion_rate|kpi_messages_delivery_rate|kpi_messages_open_rate"
        "|kpi_average_time_on_page|kpi_time_to_completion|kpi_new_contacts|kpi_total_sessions|kpi_messages_sent"
    )
    made = objects(
        email=TEXT, phone=TEXT, firstName=TEXT, lastName=TEXT, status=TEXT, website=TEXT, birthday=TEXT,
        address=address, skipAutomationTrigger=flag,
    )  # fmt: skip
    return [
        Endpoint("GET", "/v1/workspaces"),
        Endpoint("GET", f"{funnel}/contacts", {
            "page": number(0), "limit": number(1, 100), "sortOrder": one_of("-1", "1"),
            "sortField": one_of("ps_converted_at", "email", "firstName", "lastName"),
        }),
        Endpoint("GET", f"{funnel}/contacts/{SEGMENT}"),
        Endpoint("POST", f"{funnel}/contacts", body=both(
            made, lambda body: None if body.get("email") or body.get("phone") else "neither email nor phone"
        )),
        Endpoint("PUT", f"{funnel}/contacts/{SEGMENT}/values", body=objects(
            {"fieldName": text(r"(?s)(?!ps_).+"), "value": TEXT}, skipAutomationTrigger=flag
        )),
        Endpoint("GET", f"{funnel}/metrics/kpis/(?:{kpis})", window, needed=bounds),
        Endpoint("GET", f"{funnel}/metrics/charts/(?:{charts})", window, needed=bounds),
        Endpoint(
            "GET", f"{funnel}/metrics/charts/chart_page_to_page_conversion_rate",
            {**window, "abTest": one_of("all", "original", "variant")}, needed=bounds,
        ),
        Endpoint("GET", f"{funnel}/metrics/insights/{SEGMENT}", window, needed=bounds),
    ]  # fmt: skip


TABLE = [*hubspot(), *persistiq(), *perspective()]
