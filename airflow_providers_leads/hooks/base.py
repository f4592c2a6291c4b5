"""The contract between the pipeline and a CRM, and what all three hooks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from itertools import islice
from pkgutil import resolve_name
from typing import Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, Connection, conf

from airflow_providers_leads import __version__
from airflow_providers_leads.get_provider_info import CRMS
from airflow_providers_leads.hooks.settings import LeadsSettingsError, Settings, label_for, read_settings
from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import Answer, HttpClient
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.http.pagination import Pages, iter_pages
from airflow_providers_leads.http.rate_limit import RateLimiter, shared_limiter
from airflow_providers_leads.http.retry import RetryPolicy
from airflow_providers_leads.leads.outcomes import Outcome, PlanRow, WriteResult
from airflow_providers_leads.leads.schema import Lead

T = TypeVar("T")

# Errors that concern the records of one request; any other would meet the next request as well.
RECORD_ERRORS = (LeadsValidationError, LeadsConflictError, LeadsNotFoundError)
_SERVER_ERRORS_IN_A_ROW = 3


class LeadsHook(BaseHook):
    """Talks to one lead CRM over one Airflow connection.

    Subclasses give the class attributes, :meth:`iter_leads`, :meth:`find_leads`, :meth:`_create`, :meth:`_update` and
    :meth:`_probe`; auth, pacing, retries, paging and error texts are here and in ``http``.

    :param conn_id: the Airflow connection
    """

    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    key_header: ClassVar[str]
    """Header that carries the key."""
    quotas: ClassVar[Mapping[str, tuple[int, float]]]
    """Documented quota per bucket: (requests, seconds)."""
    advice: ClassVar[Mapping[int | None, str]] = {}
    """What to do about an HTTP status in this CRM."""
    scope_keys: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`iter_leads` may be narrowed by."""
    write_options: ClassVar[frozenset[str]] = frozenset()
    """What :meth:`apply_plan` takes besides the rows."""
    create_batch: ClassVar[int] = 1
    """Creates per request."""
    update_batch: ClassVar[int] = 1
    """Updates per request."""

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    # What the pipeline uses -------------------------------------------------------------------------------------------

    @abstractmethod
    def iter_leads(self, *, updated_after: datetime | str | None = None, **scope: Any) -> Iterator[Lead]:
        """Yield the CRM's leads as they are read, a page in memory at a time.

        :param updated_after: only leads changed at or after this time, as far as the API can tell
        :param scope: narrows the read, see :attr:`scope_keys`
        """

    @abstractmethod
    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        """Yield the records that the CRM holds for these addresses, in the API's largest batches."""

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that this CRM has a place for; may ask the API."""
        return frozenset()

    def blocked_domains(self) -> frozenset[str]:
        """Return the domains that the CRM is told never to contact."""
        return frozenset()

    def target_scope(self, **options: Any) -> str | None:
        """Return the one scope that a plan with these options is written to, ``None`` where a CRM has no scopes."""
        return None

    def scope_to_read(self, target_scope: str) -> dict[str, Any]:
        """Return the scope by which :meth:`iter_leads` reads just what :meth:`target_scope` names."""
        return {}

    def check_scope(self, **scope: Any) -> None:
        """Refuse what :meth:`iter_leads` can't be narrowed by, before the first request.

        :raises ValueError: naming the key
        """
        if unknown := sorted(set(scope) - self.scope_keys):
            raise ValueError(
                f"{self.label}: unknown scope {unknown[0]!r}; {self.hook_name} knows {sorted(self.scope_keys)}"
            )

    def check_write_options(self, **options: Any) -> None:
        """Refuse options that are unknown or missing, before the first write.

        :raises ValueError: naming the option
        """
        if unknown := sorted(set(options) - self.write_options):
            raise ValueError(
                f"{self.label}: unknown write option {unknown[0]!r}; "
                f"{self.hook_name} knows {sorted(self.write_options)}"
            )

    def apply_plan(self, rows: Iterable[PlanRow], **options: Any) -> Iterator[WriteResult]:
        """Write a plan and yield one result per row, in the order in which they are settled.

        Creates and updates are gathered into the API's largest batches. An error that would meet every further request
        (key, permission, quota, host) ends it after the results of the rows in hand were yielded.

        :param rows: plan rows; ``unchanged`` and ``suppress`` rows pass through without a request
        :param options: of this CRM, see :attr:`write_options`
        :raises LeadsApiError: when going on makes no sense
        :raises ValueError: for an unknown or missing option, before the first request
        """
        self.check_write_options(**options)
        return self._apply(rows, options)

    def _apply(self, rows: Iterable[PlanRow], options: Mapping[str, Any]) -> Iterator[WriteResult]:
        writers = {
            "create": (self._create, self.create_batch),
            "update": (self._update, self.update_batch),
        }
        waiting: dict[str, list[PlanRow]] = {action: [] for action in writers}
        self._server_errors = 0
        for row in rows:
            if row.action not in writers:
                outcome: Outcome = "suppressed" if row.action == "suppress" else "unchanged"
                yield WriteResult(email_key=row.email_key, outcome=outcome, target_id=row.target_id, reason=row.reason)
                continue
            write, size = writers[row.action]
            waiting[row.action].append(row)
            if len(waiting[row.action]) >= size:
                batch, waiting[row.action] = waiting[row.action], []
                yield from self._settle(batch, write, options)
        for action, (write, _) in writers.items():
            if waiting[action]:
                yield from self._settle(waiting[action], write, options)

    def _settle(
        self, batch: list[PlanRow], write: Callable[..., Iterable[WriteResult]], options: Mapping[str, Any]
    ) -> Iterator[WriteResult]:
        settled: set[str] = set()
        try:
            for result in write(batch, **options):
                settled.add(result.email_key)
                yield result
            self._server_errors = 0
        except LeadsApiError as error:
            for row in batch:
                if row.email_key not in settled:
                    yield failed_result(row, error)
            if isinstance(error, RECORD_ERRORS):
                return
            self._server_errors += 1
            if not isinstance(error, LeadsServerError) or self._server_errors >= _SERVER_ERRORS_IN_A_ROW:
                raise

    @abstractmethod
    def _create(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Create up to :attr:`create_batch` records and return one result per row."""

    @abstractmethod
    def _update(self, rows: list[PlanRow], **options: Any) -> Iterable[WriteResult]:
        """Update up to :attr:`update_batch` records by id and return one result per row."""

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the connection works, and if not whether host, key, permission or plan is the reason."""
        try:
            patience = self.client.policy
            # Somebody is waiting in front of a form.
            self.client.policy = replace(patience, max_retries=min(1, patience.max_retries), max_wait=5.0)
            try:
                return self._probe()
            finally:
                self.client.policy = patience
        except (LeadsApiError, LeadsSettingsError, AirflowNotFoundException) as error:
            return False, str(error)

    @abstractmethod
    def _probe(self) -> tuple[bool, str]:
        """Send one cheap request and say what it proves."""

    # What the hooks use -----------------------------------------------------------------------------------------------

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
        host = next(crm["host"] for crm in CRMS if crm["conn_type"] == self.conn_type)
        return read_settings(self.connection, default_host=host)

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
            limiters=self._limiters(identity),
            fixed_limits=settings.rate_limit is not None,
            policy=RetryPolicy(max_retries=settings.max_retries),
            timeout=(min(10.0, settings.timeout), settings.timeout),
            user_agent=f"airflow-providers-leads/{__version__} {suffix}".strip(),
            advice=self.advice,
            **options,
        )

    def _limiters(self, identity: str) -> dict[str, RateLimiter]:
        settings = self.settings
        limiters = {}
        for bucket, (limit, period) in self.quotas.items():
            if bucket == "default":
                limit = settings.rate_limit or limit
                period = settings.rate_limit_period or period
            limiters[bucket] = shared_limiter(settings.origin, identity, bucket, limit, period)
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
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a list.

        :param pages: the vendor's way of paging, at the page to start from
        :param path: path template of the list
        :param path_params: values for the template
        :param params: query without paging; sent with every page
        """

        def fetch(position: dict[str, object], is_page: Callable[[Any], bool]) -> Answer:
            query = {**(params or {}), **position}
            return self.request("GET", path, path_params=path_params, params=query, expect=is_page)

        return iter_pages(fetch, pages)

    def rows(self, pages: Pages, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list; parameters as for :meth:`pages`."""
        for page in self.pages(pages, path, **options):
            yield from page


def failed_result(row: PlanRow, error: LeadsApiError) -> WriteResult:
    """Return the result of a row whose request ended in an error."""
    reason = ", ".join((error.category or type(error).__name__, *error.codes)) + (
        f": {error.words}" if error.words else ""
    )
    return WriteResult(
        email_key=row.email_key,
        outcome="ambiguous" if error.ambiguous else "failed",
        target_id=row.target_id,
        reason=reason,
        request_id=error.request_id,
    )


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` items, in order."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def require(name: str, value: object) -> None:
    """Refuse an empty argument before any request.

    :raises ValueError: naming the argument
    """
    if value is None or (isinstance(value, str) and not value.strip()) or (isinstance(value, Sequence) and not value):
        raise ValueError(f"{name} must not be empty")


def fetch_connection(conn_id: str) -> Connection:
    """Return an Airflow connection.

    :raises AirflowNotFoundException: naming the connection and the ways to make it
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AirflowNotFoundException(
            f"{label_for(conn_id)} is not defined. Add it in the UI under Admin > Connections, with "
            f"'airflow connections add {conn_id}', or as the environment variable AIRFLOW_CONN_{conn_id.upper()}."
        ) from None


def get_leads_hook(conn_id: str) -> LeadsHook:
    """Return the hook of the CRM that a connection belongs to.

    :param conn_id: an Airflow connection of one of the three types
    :raises AirflowNotFoundException: when there is no such connection
    :raises LeadsSettingsError: when it is of another type
    """
    conn = fetch_connection(conn_id)
    known = [crm["conn_type"] for crm in CRMS]
    if conn.conn_type not in known:
        raise LeadsSettingsError(
            f"{label_for(conn_id)} is of type '{conn.conn_type}', which is no lead CRM. Use one of: {', '.join(known)}."
        )
    hook = conn.get_hook()  # type: ignore[no-untyped-call]
    if not isinstance(hook, LeadsHook):
        raise LeadsSettingsError(
            f"{label_for(conn_id)}: another package has registered the connection type '{conn.conn_type}'. "
            "Uninstall it, or use the hook of this package by its class."
        )
    return hook


def all_scope_keys() -> frozenset[str]:
    """Return every key by which any of the CRMs can be narrowed."""
    return frozenset().union(*(resolve_name(crm["hook"]).scope_keys for crm in CRMS))
