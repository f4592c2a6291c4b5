"""A merge policy as an operator is given it, its sources checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_providers_leads.get_provider_info import get_provider_info
from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.leads.merge.policy import MergePolicy, PolicyError, policy_from
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.paths import path_at


def read_policy(value: Any) -> MergePolicy:
    """Return a merge policy.

    :param value: what :func:`~airflow_providers_leads.leads.merge.policy.policy_from` takes, or nothing
    :raises PolicyError: naming the entry that is wrong; a connection where a source belongs is one: no lead has such a
        source, and the order that was wished would silently not be
    """
    policy = policy_from(given(value), path_at)
    for entry, name in _sources(policy):
        if name not in crms() and (conn_type := _type_of(name)) in crms():
            raise _no_source(entry, name, str(conn_type))
    return policy


def check_policy(value: Any) -> None:
    """Refuse a policy that is known to be wrong when a DAG is parsed, where no connection can be looked up.

    :raises PolicyError: see :func:`read_policy`
    """
    own = {form["connection-type"] for form in get_provider_info()["connection-types"]}
    for entry, name in _sources(policy_from(value)):
        conn_type, suffix, _ = name.partition("_default")
        if suffix and name not in own and conn_type in own:
            raise _no_source(entry, name, conn_type)


def _sources(policy: MergePolicy) -> Iterator[tuple[str, str]]:
    yield from (("priority", name) for name in policy.priority)
    yield from (("allow", name) for name in policy.allow)


def _type_of(conn_id: str) -> str | None:
    # Needs requests, which a DAG that is parsed can do without.
    from airflow_providers_leads.hooks.connected import fetch_connection

    try:
        return fetch_connection(conn_id).conn_type
    except AirflowNotFoundException:
        return None


def _no_source(entry: str, name: str, conn_type: str) -> PolicyError:
    return PolicyError(
        f"merge policy: {entry}: {name!r} is a connection, and a source is a connection type; did you mean "
        f"{conn_type!r}?",
        entry,
    )
