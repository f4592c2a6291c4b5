"""What is one vendor's own in an HTTP conversation, as plain data and functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.http.hints import QUOTAS, WAITS, QuotaHeaders, WaitReader
from airflow_providers_leads.http.problems import USUAL, ProblemForm


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API says what all say somehow; the defaults are what most do.

    :param waits: read how long it asks to wait, the first that answers wins
    :param quotas: headers that state its quota, the first that are there win
    :param day: headers that state a day's quota, ``None`` when none do
    :param problems: form of its error answers
    :param statuses: HTTP statuses of its own and the errors that they are
    :param daily: what to do when a day's quota is spent
    """

    waits: tuple[WaitReader, ...] = WAITS
    quotas: tuple[QuotaHeaders, ...] = QUOTAS
    day: QuotaHeaders | None = None
    problems: ProblemForm = USUAL
    statuses: Mapping[int, type[LeadsApiError]] = field(default_factory=dict)
    daily: str = "The day's quota is spent: run again when it is renewed."
