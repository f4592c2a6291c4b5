"""One connection of Airflow to a CRM: its settings, its client with key and quotas, and whether it works."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection, conf

from airflow_providers_leads import __version__
from airflow_providers_leads.hooks.account import Mark, fingerprint, known_id, read_mark, remember_id
from airflow_providers_leads.hooks.arguments.signatures import give_values
from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.hooks.settings import LeadsSettingsError, Settings, label_for, read_settings
from airflow_providers_leads.hooks.telemetry import count_request
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.dialect import Dialect
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNetworkError,
    LeadsNotFoundError,
    LeadsPermissionError,
)
from airflow_providers_leads.http.pagination import Pages, iter_pages
from airflow_providers_leads.http.rate_limit import RateLimiter, shared_limiter
from airflow_providers_leads.http.retry import RetryPolicy
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.values import whole_text

_MOST_THREADS = 8


class ConnectedHook(BaseHook, ABC):
    """Talks to one CRM over one Airflow connection: signed, paced, retried, page by page.

    Subclasses give the class attributes and :meth:`probe`.

    :param conn_id: the Airflow connection
    """

    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    """How people know the CRM."""

    host: ClassVar[str]
    """Origin of the API, unless the connection names one."""
    key_header: ClassVar[str]
    """Header that carries the key."""
    quotas: ClassVar[Mapping[str, tuple[int, float]]]
    """Documented quota per bucket: (requests, seconds)."""
    advice: ClassVar[Mapping[int | None, str]] = {}
    """What to do about an HTTP status in this CRM."""
    dialect: ClassVar[Dialect] = Dialect()
    """How its API says how long to wait, what quota there is and what is wrong, where it has ways of its own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        give_values(cls)

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    @property
    def label(self) -> str:
        """How messages name this connection."""
        return label_for(self.conn_id)

    @cached_property
    def connection(self) -> Connection:
        """The Airflow connection.

        :raises AirflowNotFoundException: with the three ways to make it
        """
        return fetch_connection(self.conn_id)

    @cached_property
    def settings(self) -> Settings:
        """The connection's checked settings."""
        return read_settings(self.connection, default_host=self.host)

    @cached_property
    def client(self) -> HttpClient:
        """The HTTP conversation, made on first use."""
        settings = self.settings
        if not settings.key:
            raise LeadsSettingsError(
                f"{self.label}: no key. Put the {self.hook_name} API key into the connection's password."
            )
        auth = OriginAuth(settings.origin, lambda: {self.key_header: settings.key}, self.label)
        return self.build_client(auth, identity=settings.key)

    @property
    def secret(self) -> str:
        """What the account is opened with: the key."""
        return self.settings.key

    @property
    def known_account(self) -> str:
        """The mark of the connection's account as far as it is known without a request.

        A text to be kept beside what is about the account, for :meth:`is_account`; it gives neither key nor id away.
        """
        key = fingerprint(self.settings.origin, self.secret)
        return str(Mark(key, known_id(key)[1]))

    @property
    def account(self) -> str:
        """The mark of the connection's account, by which it is known again after its key was changed.

        Asks the CRM for the account's id, once per process, where the CRM has one (HubSpot). Elsewhere, and where the
        key may not ask, it is :attr:`known_account`.

        :raises LeadsApiError: when the CRM can't be asked
        """
        key = fingerprint(self.settings.origin, self.secret)
        if not known_id(key)[0]:
            try:
                own = self.account_id()
            except (LeadsPermissionError, LeadsNotFoundError):
                own = None
            remember_id(key, own and fingerprint(self.settings.origin, own))
        return self.known_account

    def is_account(self, mark: str) -> bool:
        """Tell whether a mark is of the connection's account; may ask the CRM when it was made with another key.

        :param mark: :attr:`account` or :attr:`known_account` of some connection at some time
        """
        kept, key = read_mark(mark), fingerprint(self.settings.origin, self.secret)
        if kept is None:
            return False
        if kept.key == key:
            if kept.id:
                remember_id(key, kept.id)
            return True
        mine = read_mark(self.account) if kept.id else None
        return mine is not None and mine.id is not None and mine.id == kept.id

    def account_id(self) -> str | None:
        """Ask the CRM for its own id of the account; ``None`` where it tells none."""
        return None

    def build_client(self, auth: OriginAuth, identity: str, **options: Any) -> HttpClient:
        """Return a client with this connection's patience and quotas.

        :param auth: signs its requests
        :param identity: the secret by which the vendor counts requests
        :param options: further arguments of :class:`~airflow_providers_leads.http.client.HttpClient`
        """
        settings = self.settings
        suffix = conf.get("leads", "user_agent_suffix", fallback="") or ""
        return HttpClient(
            origin=settings.origin,
            auth=auth,
            label=self.label,
            dialect=self.dialect,
            limiters=self._limiters(identity),
            fixed_limits=settings.rate_limit is not None,
            policy=RetryPolicy(max_retries=settings.max_retries),
            timeout=(min(10.0, settings.timeout), settings.timeout),
            user_agent=f"airflow-providers-leads/{__version__} {suffix}".strip(),
            count=partial(count_request, self.conn_type),
            **{"advice": self.advice, **options},
        )

    def _limiters(self, identity: str) -> dict[str, RateLimiter]:
        settings = self.settings
        named = conf.get("leads", "rate_limit_folder", fallback=None)
        folder = Path(named) if named else None
        store_url = conf.get("leads", "limiter_url", fallback=None) or None
        limiters = {}
        for bucket, (limit, period) in self.quotas.items():
            if bucket == "default":
                limit = settings.rate_limit or limit
                period = settings.rate_limit_period or period
            limiters[bucket] = shared_limiter(
                settings.origin, identity, bucket, limit, period, folder=folder, store_url=store_url
            )
        return limiters

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send one request; see :meth:`airflow_providers_leads.http.client.HttpClient.request`."""
        return self.client.request(method, path, **options)

    def pages(
        self,
        pages: Pages,
        path: str,
        *,
        path_params: Mapping[str, object] | None = None,
        params: Mapping[str, object] | None = None,
        **options: Any,
    ) -> Generator[list[Any], None, None]:
        """Yield the pages of a list; close the generator if you leave it early.

        :param pages: the vendor's way of paging, at the page to start from
        :param path: path template of the list
        :param path_params: values for the template
        :param params: query without paging; sent with every page
        :param options: further ones of :meth:`request`
        """

        def fetch(position: dict[str, object], is_page: Callable[[Any], bool]) -> Answer:
            query = {**(params or {}), **position}
            return self.request("GET", path, path_params=path_params, params=query, expect=is_page, **options)

        limiter = self.client.limiters.get(options.get("bucket", "default"))
        return iter_pages(fetch, pages, limiter.left if limiter else None)

    def rows(self, pages: Pages, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list; parameters as for :meth:`pages`."""
        for page in self.pages(pages, path, **options):
            yield from page

    @property
    def requests_per_second(self) -> float:
        """What the quota allows: the connection's, or what the vendor's headers told since."""
        limit, period = self._quota()
        return limit / period

    @property
    def quota(self) -> int | None:
        """How many requests the quota lets through at once."""
        return self._quota()[0]

    def _quota(self) -> tuple[int, float]:
        limiter = self.client.limiters.get("default")
        return (limiter.limit, limiter.period) if limiter else self.quotas["default"]

    @property
    def write_threads(self) -> int:
        """How many batches are sent side by side: what the quota feeds while answers take a second."""
        limiter = self.client.limiters.get("default")
        return min(_MOST_THREADS, max(2, math.ceil(limiter.limit / limiter.period))) if limiter else 1

    def limits_left(self) -> list[str]:
        """Return what is left of each quota, one sentence each; may ask the API."""
        return [
            f"Quota {bucket}: {limiter.limit} requests per {limiter.period:g} s, {limiter.left()} left now."
            for bucket, limiter in self.client.limiters.items()
        ]

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the connection works and what its key may do; or whether host, key, right or plan is wrong.

        Nothing is changed in the CRM: what may be written is found out by batches of nothing, or by writing to nobody.
        """
        try:
            patience = self.client.policy
            # Somebody is waiting in front of a form.
            self.client.policy = replace(patience, max_retries=min(1, patience.max_retries), max_wait=5.0)
            try:
                return self.probe()
            finally:
                self.client.policy = patience
        except (LeadsApiError, LeadsSettingsError, AirflowNotFoundException) as error:
            where = f" The host is {self.settings.origin}." if isinstance(error, LeadsNetworkError) else ""
            # Airflow's form tests a copy under a random id, which nobody knows.
            return False, str(error).replace(self.label, "This connection") + where

    @abstractmethod
    def probe(self) -> tuple[bool, str]:
        """Send one cheap request and say what it proves."""


def fetch_connection(conn_id: str) -> Connection:
    """Return an Airflow connection.

    :raises AirflowNotFoundException: naming the connection, the nearest that there is and the ways to make it
    :raises LeadsSettingsError: for what is no name of one
    """
    if not isinstance(conn_id, str) or not conn_id.strip():
        raise LeadsSettingsError("the connection id must be the name of an Airflow connection")
    conn_id = whole_text(conn_id)
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(variable):
            # Airflow passes over it with a line in its own log only.
            raise LeadsSettingsError(
                f"{label_for(conn_id)}: Airflow can't read the environment variable {variable}. Give it as a JSON "
                "object with text under conn_type, host, password, login and schema, a whole number under port and an "
                "object under extra; or as a URI."
            ) from None
        near = nearest(conn_id, _known_connections()) or "."
        raise AirflowNotFoundException(
            f"{label_for(conn_id)} is not defined{near} Add it in the UI under Admin > Connections, with "
            f"'airflow connections add {conn_id}', or as the environment variable {variable}."
        ) from None


def _known_connections() -> Iterator[str]:
    """Yield connections that there are, as far as a task can know: those in the environment, and the usual names."""
    prefix = "AIRFLOW_CONN_"
    yield from (name.removeprefix(prefix).lower() for name in sorted(os.environ) if name.startswith(prefix))
    for conn_type in crms():
        with suppress(Exception):
            yield BaseHook.get_connection(f"{conn_type}_default").conn_id
