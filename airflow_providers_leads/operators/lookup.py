"""What the CRMs hold for people who changed somewhere, where reading all of them would be much for few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, References, Templated
from airflow_providers_leads.tasks.arguments import given
from airflow_providers_leads.tasks.inputs import check_accounts, get_hook, some_results, uri_in
from airflow_providers_leads.tasks.paths import file_name, resolve_folder, storage_path


class LeadsLookupOperator(LeadsOperator):
    """Read what one CRM holds for the people of extracts, by their addresses.

    With it an incremental run merges what changed with all that is known of those people, whom the CRM may have opted
    out or hold newer values of.

    .. code-block:: python

        LeadsLookupOperator(task_id="look_up", conn_id="hubspot_default", inputs=extract.output)

    :param conn_id: connection to ask. HubSpot takes a request per 100 people, PersistIQ one each. Perspective can't be
        asked by address: nothing is read there
    :param inputs: results of extracts, or URIs; records of this connection in them are not asked for once more
    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param memory: see :class:`~airflow_providers_leads.operators.leads.LeadsExtractOperator`: a CRM that was read in
        full once is asked only for people who are remembered there
    :param max_people: for more people the CRM is read as a whole; default 10,000 for HubSpot and 1,000 for PersistIQ;
        or a mapping such as ``{"hubspot": 100_000}``
    :return: as of an extract, and ``people``: how many were asked for
    :raises LeadsApiError: when the CRM can't be asked
    """

    template_fields: Sequence[str] = ("conn_id", "inputs", "output_uri", "max_people", "memory")
    stages = True

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        inputs: References,
        output: Templated[str] | None = None,
        max_people: Templated[int | Mapping[str, int]] | None = None,
        memory: Templated[bool | str] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id: Any = conn_id
        self.inputs: Any = inputs
        self.output_uri: Any = output
        self.max_people: Any = max_people
        self.memory: Any = memory

    def run(self, context: Context) -> dict[str, Any]:
        """Look up; see the class."""
        from airflow_providers_leads.leads.files.provenance import accounts_metadata
        from airflow_providers_leads.leads.files.staging import write_rows
        from airflow_providers_leads.leads.model.identity import spellings
        from airflow_providers_leads.leads.plan.lookup import people_elsewhere
        from airflow_providers_leads.tasks.extract import extract
        from airflow_providers_leads.tasks.memory import folders, planning

        hook = get_hook(self.conn_id, self.max_people)
        most = max(hook.lookup_rows, 1_000) if given(self.max_people) is None else hook.lookup_rows
        folder = resolve_folder(self.output_uri, context)
        uri = folder if folder.endswith(".parquet") else f"{folder}/{file_name(self.conn_id, context)}.found.parquet"
        inputs = some_results("inputs", given(self.inputs), self.log)
        sources = [storage_path(uri_in(item, "uri")) for item in inputs]
        check_accounts(hook, sources)
        # What a looked-up record lacks would pass for cleared where the read beside it has it.
        narrows = "properties" in hook.scope_keys
        scope = {"properties": _properties_read(inputs, self.conn_id)} if narrows else {}
        people, held = people_elsewhere(sources, hook.conn_type, hook.conn_id)
        # Whose records were all read has no others.
        asks = hook.lookup_rows and not any(_holds_all(item, self.conn_id) for item in inputs)
        token = None
        if (remembering := folders.open_memory(self.memory, context)) is not None:
            token = remembering.token()
            remembered = planning.remembered_people(remembering, hook, people) if asks else None
            people = people if remembered is None else remembered
        if asks and len(people) > most:
            self.log.info("%s: %d people are more than are asked for one by one", hook.conn_id, len(people))
            whole = extract(hook, uri, scope=scope, log=self.log)
            return {**whole, "people": len(people), "memory_token": token}
        asked = people if asks else []
        addresses = [spelling for person in asked for spelling in spellings(person, person)]
        found = hook.find_leads(addresses, **scope) if addresses else ()
        others = (lead for lead in found if lead.source_id not in held)
        metadata = accounts_metadata({hook.conn_id: [hook.known_account]})
        rows = write_rows(storage_path(uri), Lead, others, metadata=metadata)
        self.log.info("%s: it holds %d records of %d people", hook.conn_id, rows, len(asked))
        return {
            "uri": uri, "rows": rows, "people": len(asked), "conn_id": hook.conn_id, "source": hook.conn_type,
            "complete": False, "narrows_properties": narrows, "properties": scope.get("properties", []),
            "memory_token": token,
        }  # fmt: skip


def _properties_read(inputs: Sequence[Any], conn_id: str) -> list[str]:
    """Return the custom properties that the reads of a connection asked for."""
    mine = (item for item in inputs if isinstance(item, Mapping) and item.get("conn_id") == conn_id)
    return sorted({str(name) for item in mine for name in item.get("properties") or ()})


def _holds_all(item: Any, conn_id: str) -> bool:
    return isinstance(item, Mapping) and item.get("conn_id") == conn_id and bool(item.get("complete"))
