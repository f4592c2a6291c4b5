"""What is to be known of a plan as a whole, kept in its file."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.staging import StagingError, as_path, file_metadata
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.outcomes import PlanRow

ACTIONS: Final = ("create", "update", "unchanged", "suppress")

_KEY: Final = "leads.plan"


class Looked(msgspec.Struct, kw_only=True):
    """What a plan has read of its destination.

    :param uri: of the file of its records
    :param at: aware time at which the read began
    :param properties: custom properties that were read, ``None``: all there are
    """

    uri: str
    at: datetime
    properties: list[str] | None = None


class PlanFacts(msgspec.Struct, kw_only=True):
    """What a plan was made from and for.

    :param conn_id: connection of the destination
    :param conn_type: its CRM
    :param account: mark of its account, see :attr:`~airflow_providers_leads.hooks.base.LeadsHook.account`; ``None``
        when it isn't known
    :param mode: see :class:`~airflow_providers_leads.leads.plan.planning.PlanRules`
    :param scope: the one scope that is written to (Perspective: the funnel), ``None`` where a CRM has none
    :param planned_at: aware time at which planning began
    :param existing_at: aware time from which on changes in the destination are unknown to the plan; ``None`` when it
        was made from a file of which that isn't known
    :param requests_per_second: what the destination's quota allows
    :param quota: so many requests may be sent at once before it does; ``None`` when it isn't known
    :param fields: lead fields that may be written there
    :param properties: the destination's custom properties that the plan writes
    :param property_keys: the golden properties that they are made of
    :param only: lead field, or ``properties.`` + property, that is written to new records (``create``) or empty places
        (``empty``) alone
    :param back: the same, of what may go back where it otherwise only goes on
    :param suppressions: URIs of lists of whom not to write, and connections whose do-not-contact domains count
    :param identity: who is one person by the policy of the golden records
    :param looked: what a memory is to take in of what the destination holds, ``None`` without one
    :param other_account: what a memory knew of the destination was another account's
    :param known_as: another connection by which a memory knew the destination, ``None``: by this one, or not at all
    """

    conn_id: str
    conn_type: str
    account: str | None = None
    mode: str
    scope: str | None = None
    planned_at: datetime
    existing_at: datetime | None = None
    requests_per_second: float
    quota: int | None = None
    fields: list[str] = []
    properties: list[str] = []
    property_keys: list[str] = []
    only: dict[str, str] = {}
    back: list[str] = []
    suppressions: list[str] = []
    identity: IdentityRules = msgspec.field(default_factory=IdentityRules)
    looked: Looked | None = None
    other_account: bool = False
    known_as: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return the facts as metadata of a Parquet file."""
        # A pendulum time is a datetime to everybody but msgspec.
        return {_KEY: msgspec.json.encode(self, order="sorted", enc_hook=datetime.isoformat).decode()}


def read_plan_facts(uri: Any) -> PlanFacts:
    """Return the facts of a plan file.

    :param uri: the file
    :raises StagingError: naming the file when it is missing, damaged, or no plan
    """
    told = file_metadata(uri).get(_KEY)
    if told is None:
        raise StagingError(f"{as_path(uri)} is no plan file. Give the 'plan' of LeadsPlanOperator's result.")
    try:
        return msgspec.json.decode(told, type=PlanFacts)
    except msgspec.MsgspecError:
        raise StagingError(f"{as_path(uri)} is a plan of another version of this package. Plan again.") from None


def plan_metadata(uri: Any) -> dict[str, str]:
    """Return the metadata in which a file says which plan it is or comes from, empty when it says nothing."""
    return {name: value for name, value in file_metadata(uri).items() if name == _KEY}


class PlanTotals:
    """Sums over a plan, row by row."""

    def __init__(self) -> None:
        self.actions: Counter[str] = Counter(dict.fromkeys(ACTIONS, 0))
        self.fields: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.duplicates = 0
        self._requests: dict[str, float] = dict.fromkeys(ACTIONS, 0.0)

    def add(self, row: PlanRow) -> None:
        """Count a row in."""
        self.actions[row.action] += 1
        self.duplicates += row.records > 1
        self._requests[row.action] += row.requests
        self.fields.update(row.values.keys())
        self.fields.update(f"properties.{name}" for name in row.properties)
        if row.reason and row.action != "create":
            self.reasons[row.reason] += 1

    @property
    def requests(self) -> int:
        """Whole requests: creates and updates don't share one, and the last batch is sent however small."""
        # A hundred hundredths are a little more than one.
        return sum(math.ceil(round(share, 6)) for share in self._requests.values())

    def minutes(self, facts: PlanFacts) -> float:
        """Return how long the quota makes the requests take at least, in minutes to one place."""
        return round(least_seconds(self.requests, facts) / 60, 1)


def least_seconds(requests: int, facts: PlanFacts) -> float:
    """Return how long a quota makes so many requests take at least, when nothing else uses it.

    :param requests: how many
    :param facts: of the plan
    """
    # Without its size a quota may be large enough for all of them.
    if facts.quota is None or requests <= facts.quota:
        return 0.0
    # A window of the quota's length holds as many as the quota, however they lie in it.
    return ((requests - 1) // facts.quota) * facts.quota / facts.requests_per_second
