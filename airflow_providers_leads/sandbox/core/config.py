"""Everything about a sandbox that a user may choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from airflow_providers_leads.sandbox.core.shell import Faults

HUBSPOT_SCOPES = frozenset(
    {
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.schemas.contacts.read",
        "crm.schemas.contacts.write",
        "crm.objects.owners.read",
        "crm.lists.read",
        "crm.lists.write",
    }
)
PERSPECTIVE_PERMISSIONS = frozenset({"workspaces:read", "crm:read", "crm:write", "metrics:read"})


@dataclass(frozen=True, kw_only=True)
class PerspectiveGrant:
    """What a Perspective key may do, and where: the vendor scopes keys by permission and by workspace."""

    permissions: frozenset[str] = PERSPECTIVE_PERMISSIONS
    workspaces: frozenset[str] | None = None


class FaultsByCrm(Protocol):
    """What goes wrong at which CRM."""

    def for_crm(self, crm: str) -> Faults:
        """Return the fault function of one CRM, which counts from zero."""


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Settings of one sandbox; the second half picks a side where the vendors leave a behaviour open."""

    people: int = 500
    seed: int = 7
    anchor: str = "2026-11-01T00:00:00Z"

    host: str = "127.0.0.1"
    hubspot_port: int = 0
    perspective_port: int = 0
    persistiq_port: int = 0

    hubspot_key: str = "sandbox-hubspot-token"
    perspective_key: str = "sandbox-perspective-key"
    persistiq_key: str = "sandbox-persistiq-key"
    hubspot_tokens: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """Further private-app tokens, each with its own scopes, so that a 403 can be met."""
    perspective_keys: Mapping[str, PerspectiveGrant] = field(default_factory=dict)

    oauth_client_id: str = "sandbox-client-id"
    oauth_client_secret: str = "sandbox-client-secret"
    oauth_refresh_token: str = "sandbox-refresh-token"
    oauth_expires_in: float = 1800

    limits: bool = True
    time_scale: float = 1.0
    """Every rate-limit window is this many times shorter; the number of requests in it stays."""
    hubspot_burst: int = 100
    hubspot_search: int = 5
    hubspot_daily: int = 250_000
    perspective_per_minute: int = 100
    persistiq_per_minute: int = 100

    faults: FaultsByCrm | None = None
    """What goes wrong, and when: a `FaultPlan`."""

    search_lag_seconds: float = 0.0
    """HubSpot search sees a write only after this long; the vendor states no bound."""
    search_in_burst: bool = False
    """Whether HubSpot searches count against the burst limit as well, and tell so; documented is that they don't."""
    echo_trace_ids: bool = False
    """Whether HubSpot echoes `objectWriteTraceId` on successes: in the schema, seen inconsistently."""
    archived_keeps_email: bool = False
    """Whether an archived HubSpot contact still blocks its address; untested by anybody."""
    api_contacts_converted: bool = False
    """Whether a Perspective contact made by POST carries `ps_converted_at`; unknown, absent is harder on clients."""
    list_omits_details: bool = False
    """Whether Perspective lists leave out `utmParams` and `properties`, which only the single GET documents."""
    sparse_kpi_404: bool = True
    """Whether KPIs of a Perspective funnel without any data answer 404, as users of the vendor's tools report."""
    single_lead_form: Literal["leads", "lead"] = "leads"
    """PersistIQ's reference answers GET /leads/{id} with a list `leads`, its OpenAPI file with an object `lead`."""
    skipped_in_leads: bool = False
    """Whether PersistIQ lists duplicates that `dup=skip` left alone among `leads`; unknown."""
    next_page_keeps_filters: bool = False
    """Whether PersistIQ's `next_page` repeats the filters; unknown, losing them is harder on clients."""
    persistiq_sends_reset: bool = True
    """The reference documents `X-RateLimit-Reset`, a live probe in 2026 did not see it."""
