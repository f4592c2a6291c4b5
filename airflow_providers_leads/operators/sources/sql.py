"""Leads out of any SQL database, and what a run has made into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, References, Templated
from airflow_providers_leads.operators.sources.files import Column
from airflow_providers_leads.tasks.arguments import as_shown, given
from airflow_providers_leads.tasks.lineage import Datasets
from airflow_providers_leads.tasks.paths import file_name, resolve_folder


class LeadsFromSqlOperator(LeadsOperator):
    """Read leads from a query of any SQL database, streaming.

    What it gives is what an extract gives. Columns are mapped as :class:`LeadsFromFileOperator` maps them: guessed by
    name, shown, others to ``properties``; whoever ``opt_out`` or its like marks is opted out.

    .. code-block:: python

        LeadsFromSqlOperator(
            task_id="customers",
            sql_conn_id="warehouse",
            sql="SELECT id, email, first_name, unsubscribed FROM customers WHERE changed_at >= %(since)s",
            parameters={"since": "{{ data_interval_start }}"},
            columns={"source_id": "id"},
            source="shop",
        )

    :param sql_conn_id: connection of a SQL database, of any type whose hook is a ``DbApiHook``; needs the extra
        ``airflow-providers-leads[sql]`` and the provider of the database
    :param sql: the query, or the path of a ``.sql`` file beside the DAG
    :param parameters: values for its placeholders, in the form that the database's driver takes
    :param columns: see :class:`LeadsFromFileOperator`. A column that names each record keeps its name between runs
    :param source: your word for where the leads come from; default ``sql``
    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param date_order: see :class:`LeadsFromFileOperator`, for dates that are text
    :return: see :class:`LeadsFromFileOperator`; lines are the numbers of rows
    :raises LeadsDatabaseError: when the query fails, without the addresses that the database may quote
    :raises ValueError: for a bad argument, or a query without a column of addresses
    """

    template_fields: Sequence[str] = (
        "sql_conn_id", "sql", "parameters", "columns", "source", "output_uri", "date_order",
    )  # fmt: skip
    stages = True
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json"}
    ui_color = "#fff6e5"
    datasets = Datasets(writes=("uri", "rejects_uri"))
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"date_order": ("dmy", "mdy", "ymd")}

    def __init__(
        self,
        *,
        sql_conn_id: Templated[str],
        sql: Templated[str],
        parameters: Templated[Mapping[str, Any] | Sequence[Any]] | None = None,
        columns: Templated[Mapping[str, Column]] | None = None,
        source: Templated[str] = "sql",
        output: Templated[str] | None = None,
        date_order: Templated[str] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id: Any = sql_conn_id
        self.sql: Any = sql
        self.parameters: Any = parameters
        self.columns: Any = columns
        self.source: Any = source
        self.output_uri: Any = output
        self.date_order: Any = date_order

    def run(self, context: Context) -> dict[str, Any]:
        """Read; see the class."""
        from airflow_providers_leads.tasks.sources.sql import check_source, leads_from_sql

        source = check_source(self.source)
        folder = resolve_folder(self.output_uri, context)
        return leads_from_sql(
            self.sql_conn_id,
            self.sql,
            as_shown("parameters", self.parameters),
            folder if folder.endswith(".parquet") else f"{folder}/{file_name(source, context)}.leads.parquet",
            source,
            log=self.log,
            columns=as_shown("columns", self.columns) or {},
            date_order=given(self.date_order),
        )


class LeadsToSqlOperator(LeadsOperator):
    """Write leads, golden records, members, rejects or results into a SQL table, so that a warehouse has them too.

    A repeated run replaces what it wrote. Beside the columns of the file the table has ``run_id``, ``file`` (its URI)
    and ``row_number``; a column of the file that has one of these names gets ``_2`` after it. Numbers, times and true
    and false keep their types; what is nested is JSON text. A run is written in one transaction, where the database has
    such: a failure or a kill leaves the table as it was.

    .. code-block:: python

        LeadsToSqlOperator(
            task_id="people", input=golden.output, key="golden", sql_conn_id="warehouse", table="crm.people"
        )

    :param input: URIs of Parquet files of one kind, or results of tasks that wrote them
    :param sql_conn_id: connection of a SQL database, of any type whose hook is a ``DbApiHook``
    :param table: its table, made when missing, ``schema.table`` also
    :param key: under which a task's result names the file: ``uri`` (default: leads of an extract or a file),
        ``golden``, ``members``, ``conflicts``, ``rejects``, ``plan``, ``existing``, ``results``, and of a file of leads
        ``rejects_uri``
    :param replace: ``run`` (default) replaces what the same run wrote of the same files and keeps other runs' rows,
        ``all`` empties the table first, for a table of how things are now; then all files go to one task, as each
        mapped one would empty the table of the others' rows
    :return: ``table``, ``rows``, ``run_id``
    :raises LeadsDatabaseError: when the database refuses it, without the addresses that it may quote
    :raises ValueError: for a bad argument or a file that can't be used, before the first row is written
    """

    template_fields: Sequence[str] = ("input", "sql_conn_id", "table", "key", "replace")
    ui_color = "#fff6e5"
    datasets = Datasets(reads=("input",))
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"replace": ("run", "all")}

    def __init__(
        self,
        *,
        input: References,
        sql_conn_id: Templated[str],
        table: Templated[str],
        key: Templated[str] = "uri",
        replace: Templated[str] = "run",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input: Any = input
        self.sql_conn_id: Any = sql_conn_id
        self.table: Any = table
        self.key: Any = key
        self.replace: Any = replace

    if not TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Return the operator with some of its arguments, to be mapped over others."""
            if kwargs.get("replace") == "all" and {"table", "sql_conn_id"} <= kwargs.keys():
                raise ValueError(
                    "replace='all' empties the table in each mapped task, also of the others' rows: give one task all "
                    "results at once (input=extract.output), or map it with replace='run'"
                )
            return super().partial(**kwargs)

    def run(self, context: Context) -> dict[str, Any]:
        """Write; see the class."""
        from airflow_providers_leads.tasks.sources.sql import file_to_sql

        if self.replace not in ("run", "all"):
            raise ValueError("replace must be one of run, all")
        return file_to_sql(
            self.input,
            self.sql_conn_id,
            self.table,
            key=self.key,
            run_id=str(context["run_id"]),
            replace=self.replace,
            log=self.log,
        )
