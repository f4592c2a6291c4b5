"""The one place where requests are sent: signed, paced, retried, bounded, and turned into answers or errors."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode, urljoin

import msgspec
import requests
import urllib3
from requests.auth import AuthBase

from airflow_providers_leads.http.activity import ACTIVITY
from airflow_providers_leads.http.answers import Answer as Answer
from airflow_providers_leads.http.answers import Miss, judge_answer, missed, read_bounded, unsaid
from airflow_providers_leads.http.auth import is_at, origin_of
from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.errors import OTHER_HOST, LeadsServerError, error_class, usual_advice
from airflow_providers_leads.http.gate import GatedAdapter, leaving_by
from airflow_providers_leads.http.hints import DAILY, Quota, read_quota, wait_hint
from airflow_providers_leads.http.json_text import encode, readable
from airflow_providers_leads.http.problems import read_problem
from airflow_providers_leads.http.rate_limit import HeldBackError, NoRoomError, RateLimiter
from airflow_providers_leads.http.retry import (
    IDEMPOTENT_METHODS,
    SAFE_METHODS,
    Decision,
    RetryPolicy,
    decide,
    is_unclear,
    within_task,
)

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_LONGEST_BLOCK: Final = 3_600.0
_MAX_REDIRECTS: Final = 3
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ABOUT_RECORDS: Final = (400, 404, 409, 422)


class _AddressFilter(logging.Filter):
    """Keeps addresses in paths and query strings out of urllib3's lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and any(map(_holds_address, record.args)):
            record.args = tuple(_without_address(a) if _holds_address(a) else a for a in record.args)
            # Its traceback repeats the arguments.
            record.exc_info = record.exc_text = None
        return True


def _holds_address(value: object) -> bool:
    return "@" in str(value) or "%40" in str(value)


def _without_address(url: object) -> str:
    path = str(url).split("?")[0]
    return "/".join("…" if _holds_address(part) else part for part in path.split("/"))


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_AddressFilter())


class _Session(requests.Session):
    """Leaves redirects alone: told not to follow one, requests still reads its whole body and trips over its target."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


@dataclass
class HttpClient:
    """A conversation with one vendor over one connection.

    :param origin: scheme, host and port that every path is resolved against
    :param auth: signs requests to that origin
    :param label: how the connection is named in messages
    :param dialect: what is the vendor's own in waits, quotas and error answers
    :param limiters: quota per bucket name; requests name their bucket, ``default`` unless told
    :param fixed_limits: true keeps the limiters as configured instead of following the vendor's headers
    :param policy: patience, see :class:`~airflow_providers_leads.http.retry.RetryPolicy`
    :param timeout: (connect, read) seconds
    :param user_agent: sent with each request
    :param advice: what to do, by HTTP status; ``None`` is "no answer"; completes the built-in table
    :param count: called with the HTTP status of each answer, ``None`` when none arrived
    :param renew: called with a refused request's headers after a 401; true when another try may succeed (OAuth)
    """

    origin: str
    auth: AuthBase
    label: str
    dialect: Dialect = field(default_factory=Dialect)
    limiters: Mapping[str, RateLimiter] = field(default_factory=dict)
    fixed_limits: bool = False
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: tuple[float, float] = (10.0, 60.0)
    user_agent: str = "airflow-providers-leads"
    advice: Mapping[int | None, str] = field(default_factory=dict)
    count: Callable[[int | None], None] | None = None
    renew: Callable[[Mapping[str, str]], bool] | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    day_quota: Quota | None = field(default=None, init=False)
    """What the last answer that spoke of it said of the day's quota."""

    def __post_init__(self) -> None:
        self.policy = within_task(self.policy)
        self._session = _Session()
        self._session.headers["User-Agent"] = self.user_agent
        self._session.headers["Accept"] = "application/json"
        adapter = GatedAdapter(pool_maxsize=32, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._headers = {name: str(value) for name, value in self._session.headers.items()}
        # Proxies and certificates that the environment names: to look for them takes as long as to send a request.
        self._transport = self._session.merge_environment_settings(self.origin, {}, True, None, None)

    def close(self) -> None:
        """Close pooled connections."""
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        safe: bool | None = None,
        bucket: str = "default",
        expect: Callable[[Any], bool] | None = None,
        decode: Callable[[bytes], Any] = msgspec.json.decode,
    ) -> Answer:
        """Send a request until it succeeds or must be given up.

        :param method: HTTP method
        :param path: path template below the origin, such as ``/v1/leads/{lead_id}``; messages show the template only
        :param path_params: values for the template, percent-encoded here
        :param params: query; ``None`` values are left out
        :param json: body, encoded as JSON
        :param form: body, encoded as a form, for OAuth's token endpoints
        :param idempotent: may it be repeated after an unclear failure; default: by method (POST may not)
        :param safe: does it only ask, and change nothing? Such a request may be repeated, and none "may have taken
            effect"; default: by method (POST does not)
        :param bucket: the quota it counts against
        :param expect: tells whether a success body is of the API's form; if not it counts as a bad answer
        :param decode: reads a success body, such as a typed decoder's method; default any JSON
        :raises LeadsApiError: the subclass tells what failed
        """
        call = _Call(method, path, MAX_BODY_BYTES, method in SAFE_METHODS if safe is None else safe)
        url = urljoin(self.origin, fill_path(path, path_params or {}))
        query = {k: v for k, v in (params or {}).items() if v is not None}
        may_repeat = call.safe or method in IDEMPOTENT_METHODS if idempotent is None else idempotent
        content_type, body = "application/json", None if json is None else encode(json)
        if form is not None:
            content_type, body = "application/x-www-form-urlencoded", _encoded(form).encode()
        headers = {"Content-Type": content_type} if body is not None else {}
        tries = {"rate": 0, "fault": 0}
        renewed = False
        unclear_since: float | None = None
        while True:
            sent_at = self.clock()
            outcome = self._send(
                call, url, query, headers, body, bucket, partial(judge_answer, expect=expect, decode=decode)
            )
            if isinstance(outcome, Answer):
                return outcome if unclear_since is None else replace(outcome, unclear_since=unclear_since)
            if outcome.failure == 401 and self.renew and not renewed and self.renew(outcome.request_headers):
                renewed = True
                continue
            if unclear_since is None and is_unclear(outcome.failure):
                unclear_since = sent_at
            kind = "rate" if outcome.failure == 429 else "fault"
            tries[kind] += 1
            # Of any other failure nobody asks to wait; a refused property may be called "daily_visits".
            asked = outcome.failure in (423, 429, 503) or outcome.failure in self.dialect.statuses
            hint = wait_hint(outcome.headers, outcome.body, self.clock(), self.dialect.waits) if asked else None
            decision = decide(
                idempotent=may_repeat,
                failure=outcome.failure,
                hint=hint,
                attempt=tries[kind],
                policy=self.policy,
                rng=self.rng,
                left=self._left(),
            )
            wait = hint if decision.wait is None else decision.wait
            if outcome.failure == 429 and wait not in (None, DAILY) and (limiter := self.limiters.get(bucket)):
                # Other threads on this key would only collect 429s of their own meanwhile.
                limiter.block(min(wait, _LONGEST_BLOCK))
            if decision.wait is None:
                self._fail(call, outcome, decision, hint)
            log.info(
                "%s: %s %s: %s, trying again in %.1f s (try %d)",
                self.label, method, path, outcome.what, decision.wait, tries[kind],
            )  # fmt: skip
            with ACTIVITY.doing(f"{self.label} waits {decision.wait:.0f} s before it tries {method} {path} again"):
                self.sleep(decision.wait)

    def pause(self, attempt: int) -> bool:
        """Wait before what an answer reports as the vendor's own trouble is sent again.

        :param attempt: 1 after the first answer that did
        :return: false, at once, when it has been sent often enough or the task would be ended before
        """
        decision = decide(
            idempotent=True, failure=503, hint=None, attempt=attempt, policy=self.policy, rng=self.rng,
            left=self._left(),
        )  # fmt: skip
        if decision.wait is not None:
            self.sleep(decision.wait)
        return decision.wait is not None

    def _send(
        self,
        call: _Call,
        url: str,
        query: Mapping[str, object],
        headers: Mapping[str, str],
        body: bytes | None,
        bucket: str,
        judge: Callable[[requests.Response, bytes], Answer | Miss],
    ) -> Answer | Miss:
        limiter = self.limiters.get(bucket)
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                response, raw = self._exchanged(call, url, query, headers, body, limiter)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                self._counted(None)
                return missed(error)
            self._counted(response.status_code)
            if limiter:
                self._observe(limiter, response.headers)
            if response.status_code not in (301, 302, 303, 307, 308):
                break
            target = _redirect_target(url, response.headers)
            if call.method != "GET" or not is_at(target, origin_of(self.origin)):
                what = "was redirected elsewhere and not followed. Set the connection's host to the API's origin"
                return Miss(response.status_code, what, response.headers)
            # The Location already carries the query.
            url, query = target, {}
        return judge(response, raw)

    def _exchanged(
        self,
        call: _Call,
        url: str,
        query: Mapping[str, object],
        headers: Mapping[str, str],
        body: bytes | None,
        limiter: RateLimiter | None,
    ) -> tuple[requests.Response, bytes]:
        """Send a request once, as soon as the quota has a place for it, and return its answer and the answer's body."""
        while True:
            if limiter:
                self._take_place(call, limiter)
            try:
                request = self._signed(call.method, url, query, headers, body)
                with ACTIVITY.doing(f"{self.label} waits for the answer to {call.method} {call.path}"):
                    with leaving_by(limiter):
                        response = self._session.send(
                            request, timeout=self.timeout, allow_redirects=False, **self._transport
                        )
                    raw = read_bounded(response, call.max_bytes, self.timeout[1])
                return unsaid(response, raw, self._keys_in(request))
            except HeldBackError:
                continue
            finally:
                if limiter:
                    limiter.arrived()

    def _signed(
        self, method: str, url: str, query: Mapping[str, object], headers: Mapping[str, str], body: bytes | None
    ) -> requests.PreparedRequest:
        """Return a request as requests would prepare it.

        Its own way there takes a URL and parameters of any kind apart; ours are plain, and what redirects give is taken
        apart where it arrives, so that a page costs a tenth less. No cookie is sent.
        """
        request = requests.PreparedRequest()
        request.method, request.body = method, body
        request.url = f"{url}?{_encoded(query)}" if query else url
        request.headers = requests.structures.CaseInsensitiveDict({**self._headers, **headers})
        request.prepare_content_length(body)
        request.hooks = requests.hooks.default_hooks()
        signed: requests.PreparedRequest = self.auth(request)
        return signed

    def _keys_in(self, request: requests.PreparedRequest) -> list[str]:
        """Return the values by which a request was signed, without the scheme in front."""
        own = {name.lower() for name in (*self._headers, "Content-Type", "Content-Length")}
        return [str(value).rpartition(" ")[2] for name, value in request.headers.items() if name.lower() not in own]

    def _left(self) -> float | None:
        """Return the seconds until the task is ended, ``None`` when it isn't."""
        return None if self.policy.deadline is None else self.policy.deadline - self.clock()

    def _take_place(self, call: _Call, limiter: RateLimiter) -> None:
        try:
            with ACTIVITY.doing(f"{self.label} waits for a place in its quota"):
                limiter.acquire(self._left(), self.policy.max_wait)
        except NoRoomError as error:
            what = f"was not sent: the quota lets it through in {error.seconds:.0f} s"
            hint = error.seconds if error.said else None
            self._fail(call, Miss(429, what), Decision(None, late=not error.said), hint)

    def _counted(self, status: int | None) -> None:
        if status is not None:
            ACTIVITY.answered()
        if self.count:
            self.count(status)

    def _observe(self, limiter: RateLimiter, headers: Mapping[str, str]) -> None:
        if self.dialect.day and (day := read_quota(headers, self.clock(), (self.dialect.day,))):
            self.day_quota = day
        quota = read_quota(headers, self.clock(), self.dialect.quotas)
        if quota is None:
            return
        if quota.limit and not self.fixed_limits:
            limiter.resize(quota.limit, quota.period)
        if quota.remaining is not None:
            limiter.hear(quota.remaining, quota.reset_in)

    def _fail(self, call: _Call, miss: Miss, decision: Decision, hint: float | None) -> NoReturn:
        status = miss.failure if isinstance(miss.failure, int) else None
        problem = read_problem(miss.headers, miss.body, self.dialect.problems)
        details = [d for d in (problem.category, *problem.codes[:5]) if d]
        # A 401 or 403 is about the key, whatever its words.
        cure = problem.cure if status in _ABOUT_RECORDS else ""
        advice = OTHER_HOST if miss.foreign else cure or self.advice.get(status) or usual_advice(status)
        if hint == DAILY:
            advice = self.dialect.daily
        elif status == 429 and hint is not None:
            advice = f"The API asks to wait {hint:.0f} s. {advice}"
        if decision.late:
            advice = f"The task's execution_timeout ends before another try could be made: give it more time. {advice}"
        ambiguous = decision.ambiguous and not call.safe
        if ambiguous:
            advice = f"It may have taken effect: look the record up before repeating it. {advice}"
        message = f"{self.label}: {call.method} {call.path} {miss.what}"
        message += f" ({', '.join(details)})" if details else ""
        message += f". {advice.strip()}" if advice else "."
        message += f" [request id {problem.request_id}]" if problem.request_id else ""
        unusable = miss.failure == "bad_answer" or miss.foreign or (status or 400) < 400
        cls = LeadsServerError if unusable else error_class(status, self.dialect.statuses)
        raise cls(
            message,
            status=status,
            category="DAILY" if hint == DAILY else problem.category,
            codes=problem.codes,
            request_id=problem.request_id,
            retry_after=None if hint in (None, DAILY) else hint,
            ambiguous=ambiguous,
            existing_id=problem.existing_id,
            # Only what is said of a record: a 401 may quote the key.
            words=problem.words if status in _ABOUT_RECORDS else "",
            not_found=(status == 404 and not miss.foreign) or (status in (400, 422) and problem.not_found),
            exists=status in (400, 409, 422) and problem.exists,
            cure=cure,
        ) from None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    max_bytes: int
    safe: bool


def fill_path(template: str, values: Mapping[str, object]) -> str:
    """Return a path with its placeholders filled, each value percent-encoded whole.

    :raises ValueError: when a value is empty: the path would address another resource (a list, say)
    """

    def encoded(found: re.Match[str]) -> str:
        value = str(values[found.group(1)] if values[found.group(1)] is not None else "")
        if not value.strip() or value in (".", ".."):
            raise ValueError(f"{found.group(1)} must not be empty")
        return quote(readable(value), safe="")

    return _PLACEHOLDER.sub(encoded, template)


def _encoded(values: Mapping[str, object]) -> str:
    try:
        return urlencode(values, doseq=True)
    except UnicodeEncodeError:
        return urlencode(readable(values), doseq=True)


def _redirect_target(url: str, headers: Mapping[str, str]) -> str:
    """Return where a redirect leads; empty when it names no place, since asking the same again would lead back here."""
    location = headers.get("Location")
    request = requests.PreparedRequest()
    try:
        # As urllib3 reads it when it connects, so that what is compared with the origin is where the key would go.
        request.prepare_url(urljoin(url, location) if location else "", None)
    except ValueError:
        return ""
    return request.url or ""
