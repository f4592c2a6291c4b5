"""What Airflow learns of this package: plain data, imports nothing.

A CRM's connection form, hook and settings stand in one entry of :data:`CRMS`; a package with a CRM of its own makes its
provider info of such an entry with :func:`connection_type` and :func:`asset_uris`.
"""

from __future__ import annotations

from typing import Any

ASSET_URI_HANDLER = "airflow_providers_leads.asset_uris.sanitize_uri"
"""Handles the asset URIs of all lead CRMs; by it a connection type is known as that of one."""


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _number(label: str, description: str, kind: str = "integer", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


def _common_fields(quota: str) -> dict[str, Any]:
    return {
        "rate_limit": _number(
            "Rate limit",
            f"Requests per period. Empty keeps to the vendor's limit, {quota}, and to what its answers say is left. "
            "Give each its share where several machines or other programs use the same key.",
            minimum=1,
        ),
        "rate_limit_period": _number(
            "Rate limit period (s)", "Seconds that the rate limit counts over; empty takes the vendor's.", "number"
        ),
        "timeout": _number(
            "Timeout (s)", "Seconds to wait for an answer; empty takes [leads] timeout, 60 unless set.", "number"
        ),
        "max_retries": _number(
            "Retries",
            "Repeats of a failed request within a task, where repeating can do no harm; empty takes [leads] "
            "max_retries, 5 unless set.",
            minimum=0,
        ),
        "allow_http": {
            "label": "Allow http://",
            "description": "Lets Host begin with http:// on another machine, which sends the key unencrypted. For test "
            "servers only.",
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
        "key_hint": "pat-… with crm.objects.contacts.read, .write",
        "quota": "100 in 10 seconds",
        "modules": ("hooks", "operators", "sensors", "triggers"),
        "fields": {
            "api_version": _text(
                "API version",
                "A dated version such as 2026-03, or v3. Whatever the version, the key needs the scope "
                "crm.objects.contacts.read, to write crm.objects.contacts.write, to make properties "
                "crm.schemas.contacts.write, and for owners crm.objects.owners.read.",
                default="2026-03",
                pattern="^(v3|\\d{4}-\\d{2})$",
            ),
            "client_id": _text(
                "OAuth client id", "Of an OAuth app with the scopes above, instead of a key: leave that empty then."
            ),
            "client_secret": _text("OAuth client secret", "Of the same OAuth app.", format="password"),
            "refresh_token": _text(
                "OAuth refresh token",
                "What the app was given when somebody installed it into the HubSpot account; access tokens are asked "
                "for by themselves.",
                format="password",
            ),
            "portal_id": _text("Account id", "The portal id, for links into HubSpot; empty asks HubSpot for it."),
            "search_beside_list": {
                "label": "Search beside list",
                "description": "Reads all contacts of an account of more than 100,000 by list and search side by side, "
                "which is faster. Spends the five searches a second that all apps of the account share, and trusts "
                "that the search index lags behind by no more than a minute.",
                "schema": {"type": ["boolean", "null"], "default": False},
            },
        },
    },
    {
        "conn_type": "perspective",
        "name": "Perspective",
        "hook": "airflow_providers_leads.hooks.perspective.PerspectiveHook",
        "host": "https://api.perspective.co",
        "docs": "https://developers.perspective.co",
        "key": "API key",
        "key_hint": "Account Settings > API Key (admins)",
        "quota": "100 in 60 seconds",
        "modules": ("hooks", "operators", "sensors", "triggers"),
        "fields": {
            "funnel_ids": _text(
                "Funnel ids",
                'JSON list such as ["65f0a0000000000000000001"]. Empty reads every funnel that the key may see, for '
                "which it needs the permission to read workspaces. Reading and writing contacts needs the CRM "
                "permissions, metrics theirs; the plan must be Scale, or the legacy Volume.",
            ),
        },
    },
    {
        "conn_type": "persistiq",
        "name": "PersistIQ",
        "hook": "airflow_providers_leads.hooks.persistiq.PersistIQHook",
        "host": "https://api.persistiq.com",
        "docs": "https://apidocs.persistiq.com",
        "key": "API key",
        "key_hint": "Settings > Integrations > API Key",
        "quota": "100 in 60 seconds",
        "modules": ("hooks", "operators", "sensors", "triggers"),
        "fields": {},
    },
)


def default_host(conn_type: str) -> str:
    """Return the origin of a CRM's API."""
    return next(str(crm["host"]) for crm in CRMS if crm["conn_type"] == conn_type)


def connection_type(crm: dict[str, Any]) -> dict[str, Any]:
    """Return a CRM's entry among a provider's ``connection-types``: its form, with the fields that all CRMs have.

    :param crm: ``conn_type``, ``name``, ``hook`` (dotted name of the class), ``host`` (origin of the API), ``key`` and
        ``key_hint`` (what the password is, and where to find it), ``quota`` (in words) and ``fields`` (``conn-fields``
        of its own)
    """
    return {
        "connection-type": crm["conn_type"],
        "hook-class-name": crm["hook"],
        "hook-name": crm["name"],
        "conn-fields": {**crm["fields"], **_common_fields(crm["quota"])},
        "ui-field-behaviour": {
            "hidden-fields": ["login", "schema"],
            "relabeling": {"password": crm["key"], "host": "Host (optional)", "port": "Port (optional)"},
            # A host has its port in itself. But the Test button of Airflow 3.3.1 and 3.3.2 answers "Bad Request" for
            # every connection without one: https://github.com/apache/airflow/pull/73298
            "placeholders": {
                "host": crm["host"],
                "password": crm["key_hint"],
                "port": "443, for the Test button of Airflow 3.3.1 and 3.3.2",
            },
        },
    }


def asset_uris(*conn_types: str) -> list[dict[str, Any]]:
    """Return a provider's ``asset-uris``, which also makes its connection types known as those of lead CRMs."""
    return [{"schemes": list(conn_types), "handler": ASSET_URI_HANDLER}]


def _modules(kind: str, shared: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    names = {crm["conn_type"]: crm["name"] for crm in CRMS if kind in crm["modules"]}
    return [
        {"integration-name": name, "python-modules": [f"airflow_providers_leads.{kind}.{module}"]}
        for module, name in {**names, **dict.fromkeys(shared, "Leads")}.items()
    ]


def _option(
    description: str, kind: str, default: str | None, example: str | None, *, sensitive: bool = False
) -> dict[str, Any]:
    option = {"description": description, "version_added": "0.1.0", "type": kind, "example": example}
    return {**option, "default": default, **({"sensitive": True} if sensitive else {})}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, of the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-providers-leads",
        "name": "Leads",
        "description": "Perspective, HubSpot and PersistIQ: extract leads, deduplicate them, upsert them across CRMs.",
        "integrations": [
            {"integration-name": crm["name"], "external-doc-url": crm["docs"], "tags": ["service"]} for crm in CRMS
        ]
        + [{"integration-name": "Leads", "external-doc-url": CRMS[0]["docs"], "tags": ["protocol"]}],
        "hooks": _modules("hooks"),
        "operators": _modules("operators", ("leads", "metrics", "engagement", "report")),
        "task-decorators": [
            {"name": "leads_filter", "class-name": "airflow_providers_leads.decorators.leads.leads_filter_task"},
            {"name": "leads_map", "class-name": "airflow_providers_leads.decorators.leads.leads_map_task"},
        ],
        "cli": ["airflow_providers_leads.cli.definition.get_leads_cli_commands"],
        "extra-links": [
            f"airflow_providers_leads.operators.links.{name}" for name in ("CrmLink", "PeopleLink", "ReportLink")
        ],
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers", ("base",)),
        "connection-types": [connection_type(crm) for crm in CRMS],
        "asset-uris": asset_uris(*(crm["conn_type"] for crm in CRMS)),
        "config": {
            "leads": {
                "description": "Settings of the lead CRM provider.",
                "options": {
                    "staging": _option(
                        "URI prefix of the files that tasks hand to each other; used where no output is given.",
                        "string", None, "s3://aws_default@my-bucket/leads",
                    ),
                    "memory_key": _option(
                        "Key of the hashes in the memories of syncs, 32 hexadecimal digits. Empty keeps one beside "
                        "each memory's files; give one to keep it apart. Another key makes every sync begin anew.",
                        "string", None, "0123456789abcdef0123456789abcdef", sensitive=True,
                    ),
                    "reports": _option(
                        "URI prefix of the reports that Airflow lists under Browse; default reports below staging.",
                        "string", None, "s3://aws_default@my-bucket/leads/reports",
                    ),
                    "unmask": _option(
                        "Who sees addresses and values of people in Airflow's pages of runs: nobody; editors, who may "
                        "edit the DAG's runs; or permission, those of them who may also read 'Lead addresses'.",
                        "string", "nobody", "editors",
                    ),
                    "unlike": _option(
                        "From when on a run is unlike the last ones, as JSON: created, updated and unwritten as "
                        "multiples, read and quota as shares, least in people.",
                        "string", None, '{"created": 3, "read": 0.5}',
                    ),
                    "timeout": _option("Seconds to wait for an answer.", "float", "60", None),
                    "max_retries": _option("Repeats of a failed request within a task.", "integer", "5", None),
                    "rate_limit_folder": _option(
                        "Folder through which processes of one machine keep to one quota per key; by default one in "
                        "the system's temporary folder. Mount it into all containers of a machine.",
                        "string", None, "/var/lib/airflow/leads-quota",
                    ),
                    "limiter_url": _option(
                        "Redis through which the workers of several machines keep to one quota per key: the broker "
                        "that Celery teams have will do. Needs the extra redis. It holds hashes and times, no keys. "
                        "Without it each machine keeps to the quota for itself.",
                        "string", None, "redis://user:password@redis.example.org:6379/0", sensitive=True,
                    ),
                    "shared_files": _option(
                        "True where folders such as file:///mnt/leads are mounted into all workers and pods. Otherwise "
                        "tasks warn of files on a disk that other workers don't see.",
                        "boolean", "False", None,
                    ),
                    "user_agent_suffix": _option("Added to the User-Agent header.", "string", "", "acme-data-team"),
                },
            }
        },
    }  # fmt: skip
