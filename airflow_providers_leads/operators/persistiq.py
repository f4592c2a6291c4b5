"""PersistIQ outreach: an operator per endpoint of :class:`~airflow_providers_leads.hooks.persistiq.PersistIQHook`.

"OpenAPI only" marks endpoints that the vendor's OpenAPI file has and its reference pages lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow_providers_leads.operators.endpoint import BatchOperator, EmailOperator, EndpointOperator, RowsOperator
from airflow_providers_leads.operators.links import CrmLink
from airflow_providers_leads.operators.signatures import Templated
from airflow_providers_leads.tasks.arguments import as_mapping


class PersistIQOperator(EndpointOperator):
    """Base of the PersistIQ operators."""

    hook: ClassVar[str] = "airflow_providers_leads.hooks.persistiq.PersistIQHook"
    conn_parameter: ClassVar[str] = "persistiq_conn_id"
    operator_extra_links = (CrmLink(),)
    ui_color = "#e2f5ff"

    persistiq_conn_id: Templated[str] = "persistiq_default"


class PersistIQListUsersOperator(RowsOperator, PersistIQOperator):
    """List the company's users that are not archived, with their mailboxes.

    https://apidocs.persistiq.com/#users

    :return: ``uri`` and ``rows`` with ``output``, else the users
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_users"
    columns = ("id", "name", "email", "activated", "default_mailbox_id", "salesforce_id", "mailboxes")


class PersistIQListLeadsOperator(RowsOperator, EmailOperator, PersistIQOperator):
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
    columns = (
        "id", "status", "data", "creator_id", "owner_id", "bounced", "optedout", "sent_count", "replied_count",
        "last_sent_at",
    )  # fmt: skip
    status: Templated[str] | None = None
    status_id: Templated[str] | None = None
    updated_after: Templated[datetime] | None = None
    created_after: Templated[datetime] | None = None


class PersistIQGetLeadOperator(RowsOperator, PersistIQOperator):
    """Read one lead.

    https://apidocs.persistiq.com/#leads

    :param lead_id: id of the lead, or its address (OpenAPI only)
    :return: the lead; with ``output`` its ``uri``
    :raises LeadsNotFoundError: when there is no such lead
    :raises ValueError: for an empty ``lead_id``
    """

    method = "get_lead"
    lead_id: Templated[str]


class PersistIQCreateLeadsOperator(BatchOperator, PersistIQOperator):
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
    repeatable = True
    leads: Templated[Sequence[Mapping[str, Any]]]
    dup: Templated[str] = "skip"
    creator_id: Templated[str] | None = None


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
    lead_id: Templated[str]
    data: Templated[Mapping[str, Any]] | None = None
    status: Templated[str] | None = None
    status_id: Templated[str] | None = None
    owner_id: Templated[str] | None = None
    bounced: Templated[bool] | None = None
    optedout: Templated[bool] | None = None


class PersistIQListLeadStatusesOperator(RowsOperator, PersistIQOperator):
    """List the company's lead statuses.

    https://apidocs.persistiq.com/#lead-statuses

    :return: ``uri`` and ``rows`` with ``output``, else the statuses
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_lead_statuses"
    columns = ("id", "name")


class PersistIQListLeadFieldsOperator(RowsOperator, PersistIQOperator):
    """List the company's lead fields, custom ones included.

    https://apidocs.persistiq.com/#lead-fields

    :return: ``uri`` and ``rows`` with ``output``, else the fields
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_lead_fields"
    columns = ("id", "name", "label")


class PersistIQListCampaignsOperator(RowsOperator, PersistIQOperator):
    """List campaigns with their counters as of now.

    https://apidocs.persistiq.com/#campaigns

    :param lead_id: only campaigns that this lead is in
    :param owner_id: only campaigns of this user
    :param name: only campaigns of this name
    :return: ``uri`` and ``rows`` with ``output``, else the campaigns
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_campaigns"
    columns = ("id", "name", "creator", "stats")
    lead_id: Templated[str] | None = None
    owner_id: Templated[str] | None = None
    name: Templated[str] | None = None


class PersistIQAddLeadsToCampaignOperator(BatchOperator, PersistIQOperator):
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
    repeatable = True
    campaign_id: Templated[str]
    lead_ids: Templated[Sequence[str]] | None = None
    mailbox_id: Templated[str] | None = None
    lead_id: Templated[str] | None = None


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
    campaign_id: Templated[str]
    lead_id: Templated[str]
    missing_ok: Templated[bool] = True


class PersistIQListEventsOperator(RowsOperator, PersistIQOperator):
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
    columns = ("id", "kind", "event_at", "user_id", "user", "campaign", "lead", "params", "diff")
    group: Templated[str] | None = None
    campaign: Templated[str] | None = None
    lead: Templated[str] | None = None
    user: Templated[str] | None = None
    start_at: Templated[datetime] | None = None
    end_at: Templated[datetime] | None = None


class PersistIQListDncDomainsOperator(RowsOperator, PersistIQOperator):
    """List the domains that must not be contacted.

    https://apidocs.persistiq.com/#do-not-contact-domains

    :return: ``uri`` and ``rows`` with ``output``, else the domains
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_dnc_domains"
    columns = ("id", "name")


class PersistIQCreateDncDomainOperator(PersistIQOperator):
    """Forbid contact to a domain; the API has no way to undo it.

    https://apidocs.persistiq.com/#do-not-contact-domains

    :param name: a domain such as ``example.com``
    :return: ``id`` and ``name``
    :raises ValueError: for anything but a domain
    """

    method = "create_dnc_domain"
    name: Templated[str]


class PersistIQListCampaignLeadsOperator(RowsOperator, PersistIQOperator):
    """List the leads in a campaign. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign
    :return: ``uri`` and ``rows`` with ``output``, else the campaign's leads
    :raises LeadsNotFoundError: when there is no such campaign
    """

    method = "list_campaign_leads"
    columns = ("id", "campaign_id", "mailbox_id", "lead")
    campaign_id: Templated[str]


class PersistIQCreateCampaignOperator(PersistIQOperator):
    """Create a campaign. OpenAPI only.

    When it is unclear whether the campaign was made, the task is not retried; one that is retried after a kill may make
    another.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param name: of the campaign
    :param owner_id: user who owns it
    :return: the campaign
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: for an empty argument
    """

    method = "create_campaign"
    once = True
    name: Templated[str]
    owner_id: Templated[str]


class PersistIQDuplicateCampaignOperator(PersistIQOperator):
    """Copy a campaign. OpenAPI only.

    When it is unclear whether the copy was made, the task is not retried; one that is retried after a kill may make
    another.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign to copy
    :param owner_id: user who owns the copy
    :param name: of the copy; default the vendor's choice
    :return: the copy
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: for an empty argument
    """

    method = "duplicate_campaign"
    once = True
    campaign_id: Templated[str]
    owner_id: Templated[str]
    name: Templated[str] | None = None


class PersistIQListRepliesOperator(RowsOperator, PersistIQOperator):
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
    columns = (
        "id", "from_email", "to_emails", "cc_emails", "subject", "body", "preview", "sent_at", "sentiment", "kind",
        "lead_id", "campaign_id", "step_message_id",
    )  # fmt: skip
    campaign_id: Templated[str]
    lead_id: Templated[str] | None = None
    start_at: Templated[datetime] | None = None
    end_at: Templated[datetime] | None = None


class PersistIQSendReplyOperator(PersistIQOperator):
    """Send an answer to a reply: real mail to a real person. OpenAPI only.

    When it is unclear whether it was sent, the task is not retried. Set ``retries=0`` all the same: a worker may be
    killed after it was.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :param campaign_id: the campaign
    :param inbox_message_id: the message to answer, most likely the ``id`` from the list of replies
    :param body: HTML
    :return: ``status`` (``queued``)
    :raises LeadsValidationError: when the API refuses, also when the mailbox is disconnected
    :raises ValueError: for an empty argument
    """

    method = "send_reply"
    once = True
    campaign_id: Templated[str]
    inbox_message_id: Templated[str]
    body: Templated[str]


class PersistIQListTagsOperator(RowsOperator, PersistIQOperator):
    """List the company's tags. OpenAPI only.

    https://api.persistiq.com/api-docs/v1/swagger.json

    :return: ``uri`` and ``rows`` with ``output``, else the tags
    :raises LeadsAuthError: when the key is wrong
    """

    method = "list_tags"
    columns = ("id", "name")


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
        return as_mapping("settings", super().call_arguments().get("settings"))
