"""What all sensors share: one look at a time, from the worker or, deferred, from the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)

from airflow_providers_leads.operators.base import in_one_line
from airflow_providers_leads.operators.signatures import CheckedArguments
from airflow_providers_leads.tasks.arguments import RendersValues, given
from airflow_providers_leads.triggers.patience import MISSES, verdict

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook


class LeadsSensor(CheckedArguments, RendersValues, BaseSensorOperator):
    """Base of the sensors.

    A wrong key, a missing permission and bad arguments end the wait at once and without retries. An unreachable host,
    a spent rate limit and errors of the vendor are ridden out, ten looks in a row at most; with ``mode="reschedule"``,
    where each look is a process of its own and knows of no other, until ``timeout``.

    :param deferrable: wait in the triggerer instead of a worker; default Airflow's ``[operators] default_deferrable``.
        ``poke_interval`` is then at least 5 seconds

    .. seealso:: :class:`airflow.sdk.BaseSensorOperator` for ``poke_interval``, ``timeout``, ``mode`` and ``soft_fail``
    """

    poll_name: ClassVar[str]
    conn_parameter: ClassVar[str]
    ui_color = "#f3ecff"
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"mode": ("poke", "reschedule")}

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self._state: dict[str, Any] | None = None
        self._misses = 0
        self._hook: LeadsHook | None = None

    @abstractmethod
    def query(self, context: Context) -> dict[str, Any]:
        """Return what to look for, as the poll takes it.

        :raises ValueError: for a bad argument
        """

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        batch = in_one_line(lambda: self._look(self.query(context)))
        return PokeReturnValue(is_done=batch is not None, xcom_value=batch)

    def execute(self, context: Context) -> Any:
        """Wait, here or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        first = self._first_look(context)
        if first.is_done:
            return first.xcom_value
        from airflow_providers_leads.triggers.base import LeadsPollTrigger

        self.defer(
            trigger=LeadsPollTrigger(
                poll=self.poll_name,
                conn_id=getattr(self, self.conn_parameter),
                query=self.query(context),
                state=self._state,
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def _first_look(self, context: Context) -> PokeReturnValue:
        """Look once, and skip the task where a look in a worker or in the triggerer would."""
        try:
            return self.poke(context)
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
                raise AirflowSkipException(str(error)) from error
            raise

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Return what the triggerer found, or fail with what it says."""
        outcome = event or {"message": "the triggerer told nothing", "retry": True}
        if outcome.get("status") == "found":
            return outcome["found"]
        raise (AirflowException if outcome.get("retry") else AirflowFailException)(outcome["message"])

    def _look(self, query: Mapping[str, Any]) -> dict[str, Any] | None:
        from airflow_providers_leads.triggers.polls import hook_for, poll_named

        conn_type, poll = poll_named(self.poll_name)
        conn_id = getattr(self, self.conn_parameter)
        try:
            self._hook = self._hook or hook_for(conn_type, conn_id)
            batch, self._state = poll(self._hook, query, self._state)
        except Exception as error:
            problem = verdict(error, conn_id)
            self._misses += 1
            if problem.hopeless or self._misses >= MISSES:
                raise
            self.log.warning("%s Looking again, %d of %d.", problem.message, self._misses, MISSES)
            return None
        self._misses = 0
        return batch

    def _since(self, since: Any, context: Context) -> str:
        """Return the time from which on something counts; default the start of the DAG run, the same for all tries."""
        from airflow_providers_leads.hooks.arguments import instant

        run: Any = context.get("dag_run")
        value = given(since) or getattr(run, "start_date", None) or getattr(run, "run_after", None)
        if value is None:
            raise ValueError("since must be given: there is no DAG run whose start could be meant")
        return instant("since", value).isoformat()


def text(value: Any) -> str | None:
    """Return a possibly templated optional argument as text, ``None`` when it says nothing."""
    return None if given(value) is None else str(value)
