"""PersistIQ outreach: an operator per endpoint of :class:`~airflow_providers_leads.hooks.persistiq.PersistIQHook`.

"OpenAPI only" marks endpoints that the vendor's OpenAPI file has and its reference pages lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow_providers_leads.operators.endpoint import BATCH, ROWS, EndpointOperator
from airflow_providers_leads.operators.links import CrmLink


class PersistIQOperator(EndpointOperator):
    """Base of the PersistIQ operators."""

    hook: ClassVar[str] = "airflow_providers_leads.hooks.persistiq.PersistIQHook"
    conn_parameter: ClassVar[str] = "persistiq_conn_id"
    operator_extra_links = (CrmLink(),)
    ui_color = "#e2f5ff"

    persistiq_conn_id: str = "persistiq_default"


class PersistIQListUsersOperator(PersistIQOperator):
    """List the company's users that are not archived, with their mailboxes.

    https://apidocs.persistiq.com/#users

    :return: ``uri`` and ``rows`` with ``output``, else the users
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_users"
    hands_over = ROWS


class PersistIQListLeadsOperator(PersistIQOperator):
    """Read all leads, or those of a status or changed after a time.

    https://apidocs.persistiq.com/#leads

    :param status: name of a lead status
    :param status_id: id of a lead status; OpenAPI only
    :param updated_after: aware datetime, or ISO 8601 text with an offset
    :param created_after: likewise; OpenAPI only
    :param email: address of one lead; OpenAPI only
    :return: ``uri`` and ``rows`` with ``output``, else the leads
    :raises ValueError: for a naive time, or more than 1,000 rows without ``output``
    """

    method = "list_leads"
    hands_over = ROWS
    status: str | None = None
    status_id: str | None = None
    updated_after: Any = None
    created_after: Any = None
    email: str | None = None


class PersistIQGetLeadOperator(PersistIQOperator):
    """Read one lead.

    https://apidocs.persistiq.com/#leads

    :param lead_id: id of the lead, or its address (OpenAPI only)
    :return: the lead; with ``output`` its ``uri``
    :raises LeadsNotFoundError: when there is no such lead
    :raises ValueError: for an empty ``lead_id``
    """

    method = "get_lead"
    hands_over = ROWS
    lead_id: str


class PersistIQCreateLeadsOperator(PersistIQOperator):
    """Create many leads, in tens; safe to repeat, and a refused one doesn't hold up the others.

    https://apidocs.persistiq.com/#leads

    :param leads: flat objects: ``email`` (required), ``first_name``, ``last_name``, ``company_name``, … and custom
        fields by name; any number
    :param dup: what happens to a lead that is there already: ``skip`` (default) or ``update``
    :param creator_id: user who counts as creator of the new leads
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an unknown ``dup``
    """

    method = "create_leads"
    hands_over = BATCH
    leads: Sequence[Mapping[str, Any]]
    dup: str = "skip"
    creator_id: str | None = None


class PersistIQUpdateLeadOperator(PersistIQOperator):
    """Change one lead; what is not given stays as it is.

    https://apidocs.persistiq.com/#leads

    :param lead_id: the lead
    :param data: field → value, built-in and custom fields alike
    :param status: name of an existing lead status; not together with ``status_id``
    :param status_id: id of a lead status
    :param owner_id: user who owns the lead; OpenAPI only
    :param bounced: true marks the address as bounced; whether that can be undone is not documented
    :param optedout: true marks the lead as opted out; whether that can be undone is not documented
    :return: the lead
    :raises LeadsNotFoundError: when there is no such lead
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: when nothing is to be changed, or both ``status`` and ``status_id`` are given
    """

    method = "update_lead"
    lead_id: str
    data: Mapping[str, Any] | None = None
    status: str | None = None
    status_id: str | None = None
    owner_id: str | None = None
    bounced: bool | None = None
    optedout: bool | None = None


class PersistIQListLeadStatusesOperator(PersistIQOperator):
    """List the company's lead statuses.

    https://apidocs.persistiq.com/#lead-statuses

    :return: ``uri`` and ``rows`` with ``output``, else the statuses
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_lead_statuses"
    hands_over = ROWS


class PersistIQListLeadFieldsOperator(PersistIQOperator):
    """List the company's lead fields, custom ones included.

    https://apidocs.persistiq.com/#lead-fields

    :return: ``uri`` and ``rows`` with ``output``, else the fields
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_lead_fields"
    hands_over = ROWS


class PersistIQListCampaignsOperator(PersistIQOperator):
    """List campaigns with their counters as of now.

    https://apidocs.persistiq.com/#campaigns

    :param lead_id: only campaigns that this lead is in
    :param owner_id: only campaigns of this user
    :param name: only campaigns of this name
    :return: ``uri`` and ``rows`` with ``output``, else the campaigns
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_campaigns"
    hands_over = ROWS
    lead_id: str | None = None
    owner_id: str | None = None
    name: str | None = None


class PersistIQAddLeadsToCampaignOperator(PersistIQOperator):
    """Add leads to a campaign, in hundreds; mail may go out at once.

    A lead that is in the campaign already counts as succeeded, so a task can be repeated.

    https://apidocs.persistiq.com/#campaigns

    :param campaign_id: the campaign
    :param lead_ids: ids of the leads; any number; either this or ``lead_id``
    :param mailbox_id: mailbox to send from; default that of the campaign's owner
    :param lead_id: id of the only lead
    :return: counts and reasons; each input's fate is in ``output``
    :raises LeadsWriteError: when more inputs failed than tolerated
    :raises ValueError: for an empty id, or when both or neither of ``lead_ids`` and ``lead_id`` are given
    """

    method = "add_leads_to_campaign"
    hands_over = BATCH
    campaign_id: str
    lead_ids: Sequence[str] | None = None
    mailbox_id: str | None = None
    lead_id: str | None = None


class PersistIQRemoveLeadFromCampaignOperator(PersistIQOperator):
    """Remove a lead from a campaign.

    https://apidocs.persistiq.com/#campaigns

    :param campaign_id: the campaign
    :param lead_id: the lead
    :param missing_ok: false fails when the lead is not in the campaign; default true
    :return: whether the lead was in it
    :raises LeadsApiError: when the lead is not in the campaign and ``missing_ok`` is false
    :raises ValueError: for an empty id
    """

    method = "remove_lead_from_campaign"
    campaign_id: str
    lead_id: str
    missing_ok: bool = True


class PersistIQListEventsOperator(PersistIQOperator):
    """Read what happened in a time window: ``start_at <= event_at < end_at``.

    https://apidocs.persistiq.com/#events

    :param group: ``campaign``, ``settings`` or ``lead_detail``; default all
    :param campaign: only events of this campaign id
    :param lead: only events of this lead id
    :param user: only events of this user id
    :param start_at: aware datetime, or ISO 8601 text with an offset, such as ``{{ data_interval_start }}``
    :param end_at: likewise, after ``start_at``
    :return: ``uri`` and ``rows`` with ``output``, else the events
    :raises ValueError: for an unknown group, a naive time, or more than 1,000 rows without ``output``
    """

    method = "list_events"
    hands_over = ROWS
    group: str | None = None
    campaign: str | None = None
    lead: str | None = None
    user: str | None = None
    start_at: Any = None
    end_at: Any = None


class PersistIQListDncDomainsOperator(PersistIQOperator):
    """List the domains that must not be contacted.

    https://apidocs.persistiq.com/#do-not-contact-domains

    :return: ``uri`` and ``rows`` with ``output``, else the domains
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_dnc_domains"
    hands_over = ROWS


class PersistIQCreateDncDomainOperator(PersistIQOperator):
    """Forbid contact to a domain; the API has no way to undo it.

    https://apidocs.persistiq.com/#do-not-contact-domains

    :param name: a domain such as ``example.com``
    :return: ``id`` and ``name``
    :raises ValueError: for anything but a domain
    """

    method = "create_dnc_domain"
    name: str


class PersistIQListCampaignLeadsOperator(PersistIQOperator):
    """List the leads in a campaign. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign
    :return: ``uri`` and ``rows`` with ``output``, else the campaign's leads
    :raises LeadsNotFoundError: when there is no such campaign
    """

    method = "list_campaign_leads"
    hands_over = ROWS
    campaign_id: str


class PersistIQCreateCampaignOperator(PersistIQOperator):
    """Create a campaign. OpenAPI only.

    A task that is retried after the campaign was made makes another.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param name: of the campaign
    :param owner_id: user who owns it
    :return: the campaign
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: for an empty argument
    """

    method = "create_campaign"
    name: str
    owner_id: str


class PersistIQDuplicateCampaignOperator(PersistIQOperator):
    """Copy a campaign. OpenAPI only.

    A task that is retried after the copy was made makes another.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign to copy
    :param owner_id: user who owns the copy
    :param name: of the copy; default the vendor's choice
    :return: the copy
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: for an empty argument
    """

    method = "duplicate_campaign"
    campaign_id: str
    owner_id: str
    name: str | None = None


class PersistIQListRepliesOperator(PersistIQOperator):
    """List the replies to a campaign's messages. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign
    :param lead_id: only replies of this lead
    :param start_at: only replies at or after this time; aware datetime, or ISO 8601 text with an offset
    :param end_at: only replies at or before this time
    :return: ``uri`` and ``rows`` with ``output``, else the replies
    :raises LeadsNotFoundError: when there is no such campaign
    """

    method = "list_replies"
    hands_over = ROWS
    campaign_id: str
    lead_id: str | None = None
    start_at: Any = None
    end_at: Any = None


class PersistIQSendReplyOperator(PersistIQOperator):
    """Send an answer to a reply: real mail to a real person. OpenAPI only.

    Set ``retries=0`` on the task: a retry after an unclear failure can send it twice.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign
    :param inbox_message_id: the message to answer, most likely the ``id`` from the list of replies
    :param body: HTML
    :return: ``status`` (``queued``)
    :raises LeadsValidationError: when the API refuses, also when the mailbox is disconnected
    :raises ValueError: for an empty argument
    """

    method = "send_reply"
    campaign_id: str
    inbox_message_id: str
    body: str


class PersistIQListTagsOperator(PersistIQOperator):
    """List the company's tags. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :return: ``uri`` and ``rows`` with ``output``, else the tags
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_tags"
    hands_over = ROWS


class PersistIQGetWebhookPluginOperator(PersistIQOperator):
    """Read the company's webhook settings. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :return: the settings
    :raises LeadsAuthError: when the key is wrong
    """

    method = "get_webhook_plugin"


class PersistIQUpdateWebhookPluginOperator(PersistIQOperator):
    """Change some of the company's webhook settings; the others stay. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param settings: ``post_new_prospect``, ``post_updated_prospect``, ``raw_events``, ``post_email_reply`` and
        ``post_email_opened`` (booleans), each with its ``…_url``
    :return: all settings
    :raises ValueError: for an unknown setting
    """

    method = "update_webhook_plugin"
    settings: Mapping[str, Any]

    def call_arguments(self) -> dict[str, Any]:
        """Return the settings as the hook method's own arguments."""
        return dict(super().call_arguments().get("settings") or {})
