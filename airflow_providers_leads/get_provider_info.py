"""What Airflow learns of this package: plain data, imports nothing.

A CRM's connection form, hook and settings stand in one entry of :data:`CRMS`.
"""

from __future__ import annotations

from typing import Any


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _number(label: str, description: str, kind: str = "integer", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_COMMON_FIELDS: dict[str, Any] = {
    "rate_limit": _number("Rate limit", "Requests per period; empty keeps the vendor's documented limit.", minimum=1),
    "rate_limit_period": _number("Rate limit period (s)", "Seconds that the rate limit counts over.", "number"),
    "timeout": _number("Timeout (s)", "Seconds to wait for an answer; default 60.", "number"),
    "max_retries": _number("Retries", "Repeats of a failed request within a task; default 5.", minimum=0),
    "allow_http": {
        "label": "Allow http://",
        "description": "Send the key unencrypted to a host that is not this machine. For test servers only.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

CRMS: tuple[dict[str, Any], ...] = (
    {
        "conn_type": "hubspot",
        "name": "HubSpot",
        "hook": "airflow_providers_leads.hooks.hubspot.HubSpotHook",
        "host": "https://api.hubapi.com",
        "docs": "https://developers.hubspot.com/docs/api-reference/overview",
        "key": "Private-app token or service key",
        "fields": {
            "api_version": _text(
                "API version",
                "A dated version such as 2026-03, or v3.",
                default="2026-03",
                pattern="^(v3|\\d{4}-\\d{2})$",
            ),
            "client_id": _text("OAuth client id", "Only for OAuth apps; leave the key empty then."),
            "client_secret": _text("OAuth client secret", "Only for OAuth apps.", format="password"),
            "refresh_token": _text("OAuth refresh token", "Only for OAuth apps.", format="password"),
        },
    },
    {
        "conn_type": "perspective",
        "name": "Perspective",
        "hook": "airflow_providers_leads.hooks.perspective.PerspectiveHook",
        "host": "https://api.perspective.co",
        "docs": "https://developers.perspective.co",
        "key": "API key",
        "fields": {
            "funnel_ids": _text("Funnel ids", 'JSON list such as ["fnl_a", "fnl_b"]; empty reads every funnel.'),
        },
    },
    {
        "conn_type": "persistiq",
        "name": "PersistIQ",
        "hook": "airflow_providers_leads.hooks.persistiq.PersistIQHook",
        "host": "https://api.persistiq.com",
        "docs": "https://apidocs.persistiq.com",
        "key": "API key",
        "fields": {},
    },
)


def _connection_type(crm: dict[str, Any]) -> dict[str, Any]:
    return {
        "connection-type": crm["conn_type"],
        "hook-class-name": crm["hook"],
        "hook-name": crm["name"],
        "conn-fields": {**crm["fields"], **_COMMON_FIELDS},
        "ui-field-behaviour": {
            "hidden-fields": ["login", "schema", "port"],
            "relabeling": {"password": crm["key"], "host": "Host"},
            "placeholders": {"host": crm["host"], "password": crm["key"]},
        },
    }


def _modules(kind: str, names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"integration-name": name, "python-modules": [f"airflow_providers_leads.{kind}.{module}"]}
        for module, name in names.items()
    ]


def _option(description: str, kind: str, default: str | None, example: str | None) -> dict[str, Any]:
    return {"description": description, "version_added": "0.1.0", "type": kind, "example": example, "default": default}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, of the form of Airflow's ``provider_info.schema.json``."""
    by_module = {crm["conn_type"]: crm["name"] for crm in CRMS}
    return {
        "package-name": "airflow-providers-leads",
        "name": "Leads",
        "description": "Perspective, HubSpot and PersistIQ: extract leads, deduplicate them, upsert them across CRMs.",
        "integrations": [
            {"integration-name": crm["name"], "external-doc-url": crm["docs"], "tags": ["service"]} for crm in CRMS
        ]
        + [{"integration-name": "Leads", "external-doc-url": CRMS[0]["docs"], "tags": ["protocol"]}],
        "hooks": _modules("hooks", by_module),
        "operators": _modules("operators", {**by_module, "leads": "Leads", "metrics": "Leads"}),
        "connection-types": [_connection_type(crm) for crm in CRMS],
        "config": {
            "leads": {
                "description": "Settings of the lead CRM provider.",
                "options": {
                    "staging": _option(
                        "URI prefix of the files that tasks hand to each other; used where no output is given.",
                        "string", None, "s3://aws_default@my-bucket/leads",
                    ),
                    "timeout": _option("Seconds to wait for an answer.", "float", "60", None),
                    "max_retries": _option("Repeats of a failed request within a task.", "integer", "5", None),
                    "user_agent_suffix": _option("Added to the User-Agent header.", "string", "", "acme-data-team"),
                },
            }
        },
    }  # fmt: skip
