"""What pipeline operators are given: connections, files, and the results of other tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_providers_leads.hooks.registry import crms
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.values import plain
from airflow_providers_leads.leads.plan.property_types import PROPERTY
from airflow_providers_leads.tasks.arguments import as_count, as_entries, as_mapping, as_shown, given

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.model.identity import IdentityRules
    from airflow_providers_leads.leads.plan.fields import FieldRule


def get_hook(conn_id: str, max_people: Any = None) -> LeadsHook:
    """Return the hook of the CRM that a connection belongs to.

    :param conn_id: the connection
    :param max_people: for more people the CRM is read as a whole: a number, or connection type → number; default what
        its API makes worth while. A CRM that can't be asked for people is read as a whole in any case
    :raises ValueError: when it is no such number
    """
    from airflow_providers_leads.hooks.base import get_leads_hook

    hook = get_leads_hook(conn_id)
    most = for_type("max_people", max_people, hook.conn_type)
    if given(most) is not None and hook.lookup_rows:
        hook.lookup_rows = as_count("max_people", most)
    return hook


def for_type(name: str, value: Any, conn_type: str) -> Any:
    """Return what an argument says for one connection type: of a mapping of connection types its entry.

    :raises ValueError: for a key that is none, whose entry would be passed over without a word
    """
    meant = given(value)
    if isinstance(meant, str) and meant.strip()[:1] == "{":
        meant = as_mapping(name, meant)
    if not isinstance(meant, Mapping):
        return meant
    if unknown := [str(key) for key in meant if key not in crms()]:
        known = ", ".join(crms())
        raise ValueError(
            f"{name}: {unknown[0]!r} is no type of connection; there are {known}{nearest(unknown[0], crms())}"
        )
    return meant.get(conn_type)


def lead_connections(conn_ids: Iterable[str]) -> list[str]:
    """Return connection ids after a look at each; no request is sent. For the first task of a run.

    :param conn_ids: Airflow connections of the types of lead CRMs
    :raises AirflowNotFoundException: when there is no such connection, with the nearest that there is; not retried
    :raises LeadsSettingsError: when one is of another type, or named twice; not retried
    """
    from airflow_providers_leads.hooks.base import get_leads_hook
    from airflow_providers_leads.hooks.permanent import PERMANENT, without_retries
    from airflow_providers_leads.hooks.settings import LeadsSettingsError, label_for

    checked: list[str] = []
    for conn_id in conn_ids:
        try:
            get_leads_hook(conn_id)
            if conn_id in checked:
                raise LeadsSettingsError(f"{label_for(conn_id)} is named twice. Name each connection once.")
        except tuple(PERMANENT) as error:
            raise without_retries(error).with_traceback(None) from None
        checked.append(conn_id)
    return checked


def check_accounts(hook: LeadsHook, files: Sequence[Any]) -> None:
    """Refuse files whose records of a connection are of another account than the one it is for now.

    :param hook: of the connection
    :param files: path objects or footers of files of leads, golden records, members or results
    :raises ValueError: naming the connection
    """
    from airflow_providers_leads.leads.files.provenance import read_accounts

    for file in files:
        if not all(map(hook.is_account, read_accounts([file]).get(hook.conn_id, ()))):
            raise ValueError(
                f"{hook.label} is for another account now than when {file} was read: the record ids in it mean other "
                "people there. Nothing was written. Run the pipeline from its extract again."
            )


def task_results(name: str, value: Any, log: Any) -> list[Any]:
    """Return the results of tasks, and URIs, as a list; what a skipped task didn't give is passed over and logged.

    :param name: of the argument
    :param value: one of them or many; ``None`` is none
    :param log: the task's logger
    """
    listed = as_list(value)
    present = [item for item in listed if given(item) is not None]
    if len(present) < len(listed):
        log.warning(
            "%s: %d of %d results are missing, as their tasks were skipped or gave none; the others are used",
            name, len(listed) - len(present), len(listed),
        )  # fmt: skip
    return present


def some_results(name: str, value: Any, log: Any) -> list[Any]:
    """Return what :func:`task_results` does.

    :raises ValueError: when there is none at all
    """
    if not (present := task_results(name, value, log)):
        raise ValueError(f"{name} holds no result: every task that should have given one was skipped or gave none")
    return present


def as_list(value: Any) -> list[Any]:
    """Return one value or many as a list; those of lists within it, as mapped tasks give them, stand in their place.

    A text may show a list, or one result, as JSON or Python writes it.
    """
    meant = as_result(value)
    if isinstance(meant, str) and meant.strip()[:1] == "[":
        return as_entries("results", meant)
    if meant is None:
        return []
    if not isinstance(meant, list):
        return [meant]
    return [part for item in meant for part in (as_list(item) if isinstance(item, list) else [as_result(item)])]


def as_result(value: Any) -> Any:
    """Return a task's result, of which a template makes text unless the DAG renders native objects, or the value."""
    meant = plain(value)
    return as_shown("results", meant) if isinstance(meant, str) and meant.strip()[:1] == "{" else meant


def uri_in(item: Any, key: str) -> str:
    """Return the URI that was given, or the one in a task's result.

    :param item: a URI, or a task's result
    :param key: where in the result it is
    :raises ValueError: when there is none, or more than one
    """
    item = as_result(item)
    uri = item.get(key) if isinstance(item, Mapping) else item
    if isinstance(uri, (list, tuple)):
        raise ValueError(f"there are {len(uri)} files of {key!r}: map the task over them, one each")
    if not uri or not isinstance(uri, str):
        raise ValueError(f"expected a URI, or a task's result with the key {key!r}")
    return uri


def names_of_lists(entries: Sequence[Any]) -> list[str]:
    """Return the URIs of lists, and the connection ids, that an operator was given.

    :param entries: URIs, results of tasks that wrote them, and connection ids
    :raises ValueError: for anything else
    """
    names = [uri_in(entry, "uri") if isinstance(entry, Mapping) else entry for entry in entries]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("suppressions must be URIs of lists, or connection ids")
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTask:
    """One plan that is asked for.

    :param hook: of the destination
    :param stem: URI without ending of the files to write
    :param golden: URI of the golden records
    :param members: URI of their members, ``None`` when unknown
    :param existing: what the destination holds: results of extracts and URIs
    :param mode: see :class:`~airflow_providers_leads.leads.plan.planning.PlanRules`
    :param options: write options
    :param suppressions: URIs of lists, results of tasks that wrote them, and connections
    :param properties: golden property → the destination's property
    :param fields: the destination's field → what it is filled with
    :param push_opt_outs: see :class:`~airflow_providers_leads.leads.plan.planning.PlanRules`
    :param log: the task's logger
    :param account: mark of the destination's account, for the plan file; default as far as it is known
    :param memory: what the merge says of its memory, ``None`` without one
    :param identity: who is one person by the policy of the golden records
    :param people: golden records
    :param do_not_contact: where the do-not-contact domains of the CRMs that were read count
    :param max_changes: share of the destination's records that may be created or changed, ``None``: any
    """

    hook: LeadsHook
    stem: str
    golden: str
    members: str | None
    existing: Sequence[Any]
    mode: str
    options: Mapping[str, Any]
    suppressions: Sequence[Any]
    properties: Mapping[str, str]
    push_opt_outs: bool
    log: Any
    account: str | None = None
    memory: Mapping[str, Any] | None = None
    max_changes: float | None = None
    fields: Mapping[str, FieldRule] = field(default_factory=dict)
    identity: IdentityRules | None = None
    people: int = 0
    do_not_contact: str = "everywhere"

    @property
    def own_properties(self) -> set[str]:
        """The destination's own properties that are written."""
        own = {name.removeprefix(PROPERTY) for name in self.fields if name.startswith(PROPERTY)}
        return own | set(self.properties.values())

    @property
    def joins(self) -> bool:
        """True when by the policy addresses that differ may be one person."""
        return self.identity is not None and self.identity.joins
