"""Stand-ins that the tests of the wire share: time that only moves when slept, secrets to plant, a client."""

from __future__ import annotations

import math
import random
import threading
import traceback
from functools import partial
from typing import Any

import pytest
import requests
import urllib3

from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.errors import LeadsApiError, LeadsRateLimitError
from airflow_providers_leads.http.hints import DAILY, QUOTAS, WAITS, Headers, QuotaHeaders, wait_at
from airflow_providers_leads.http.pagination import CursorPages, NumberedPages
from airflow_providers_leads.http.paths import value_at, values_at
from airflow_providers_leads.http.problems import ProblemForm

ORIGIN = "https://api.example.com"
NOW = 1_800_000_000.0
KEY = "pat-na1-1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901"
# Keys as vendors hand them out.
KEYS = (KEY, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "a3f5c0d9e8b7462f91d0c3b5a7e6f812")
EMAIL = "jane.doe@example.org"
SENTENCE = "Mrs Doe has not paid"
URL = f"{ORIGIN}/v1/leads"
SECRETS = (*KEYS, EMAIL, "jane.doe%40example.org", "jane.doe", SENTENCE)


OK: dict[str, Any] = {"json": {"leads": []}}
HTML = {"text": f"<html>{SENTENCE} {EMAIL} {KEY}</html>", "headers": {"Content-Type": "text/html"}}
CUT = {"exc": requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", EMAIL))}
LATE = {"exc": requests.exceptions.ReadTimeout(f"{URL}?email={EMAIL}")}
UNREACHABLE = {"exc": requests.exceptions.ConnectTimeout(f"{URL}?email={EMAIL}")}
KEY_ECHOED = {"status": "error", "error": {"reason": "unauthorized", "message": f"Failed to find api key: {KEY}."}}


def by_cursor(cursor: str | None = None) -> CursorPages:
    """Return pages that name the next one."""
    return CursorPages("results", "paging.next.after", "after", cursor)


def by_total(**options: Any) -> NumberedPages:
    """Return pages from 0 that tell how many rows there are."""
    return NumberedPages("data", ("meta.hasNext",), 0, total_at="meta.total", size_at="meta.limit", **options)


def by_number(key: str = "leads", **options: Any) -> NumberedPages:
    """Return pages from 1 that tell whether there are more."""
    return NumberedPages(key, ("has_more", "next_page"), 1, **options)


def _spent_day(headers: Headers, body: Any, now: float) -> float | None:
    return DAILY if value_at(body, "spent") == "day" else None


ACME = Dialect(
    waits=(_spent_day, *WAITS, partial(wait_at, path="wait")),
    quotas=(QuotaHeaders("X-Acme-Max", "X-Acme-Left", "X-Acme-Reset", "X-Acme-Milliseconds"), *QUOTAS),
    problems=ProblemForm(
        request_ids=("request",),
        codes=lambda body: tuple(values_at(body, "errors.code")),
        existing_ids=lambda body: tuple(values_at(body, "existing")),
    ),
    statuses={477: LeadsRateLimitError},
    daily="The day is over.",
)
"""A vendor with ways of its own."""


class FakeClock:
    """Seconds that pass only by sleeping; every thread can ask for the last time it was told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.sleeps: list[float] = []
        self._told = threading.local()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            self._told.now = self.now
            return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "time.sleep raises for a negative duration"
        with self._lock:
            self.sleeps.append(seconds)
            # Real time moves on even while nobody sleeps.
            self.now = math.nextafter(self.now + seconds, math.inf)

    @property
    def told(self) -> float:
        return float(self._told.now)


def make_client(clock: FakeClock | None = None, *, origin: str = ORIGIN, **options: Any) -> HttpClient:
    clock = clock or FakeClock()
    auth = OriginAuth(origin, lambda: {"x-api-key": KEY}, "crm 'test'")
    defaults: dict[str, Any] = {
        "auth": auth,
        "dialect": ACME,
        "sleep": clock.sleep,
        "clock": clock,
        "rng": random.Random(7),
    }
    return HttpClient(origin=origin, label="crm 'test'", **(defaults | options))


def leaks(error: BaseException, log: str = "") -> list[str]:
    """Return the planted secrets that an error, all it drags along, or the log gives away."""
    shown = [
        str(error), repr(error), repr(error.__cause__), repr(error.__context__),
        "".join(traceback.format_exception(error)), log,
    ]  # fmt: skip
    shown += [repr({k: v for k, v in vars(error).items() if k != "words"})]
    words = str(getattr(error, "words", ""))
    return [s for s in SECRETS if any(s in text for text in shown) or (s != SENTENCE and s in words)]


def failed(client: HttpClient, method: str = "GET", path: str = "/v1/leads", **options: Any) -> LeadsApiError:
    """Return the error that a request ends with, which gives nothing away."""
    with pytest.raises(LeadsApiError) as caught:
        client.request(method, path, **options)
    assert not leaks(caught.value)
    return caught.value
