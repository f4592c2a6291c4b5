"""What all operators share: errors that end a task in one line, and where files go."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import (
    BaseOperator,
    Context,
    conf,
)

from airflow_providers_leads.http.errors import LeadsApiError, LeadsRateLimitError
from airflow_providers_leads.http.retry import task_bounds
from airflow_providers_leads.operators.signatures import CheckedArguments
from airflow_providers_leads.tasks.arguments import RendersValues, given
from airflow_providers_leads.tasks.paths import check_output_folder, resolve_folder, writing_as
from airflow_providers_leads.tasks.progress import heartbeat

if TYPE_CHECKING:
    from airflow_providers_leads.tasks.lineage import Datasets, Lineage

T = TypeVar("T")

_LONGEST_SLEEP: Final = 60.0
"""Seconds that a deferrable task keeps its worker waiting."""
LONGEST_DEFERRAL: Final = 86_400.0
"""Seconds that a task waits in the triggerer; HubSpot moves accounts within a day."""
_MOST_DEFERRALS: Final = 20


class LeadsOperator(CheckedArguments, RendersValues, BaseOperator):
    """Base of the operators: runs :meth:`run` and turns what a user can mend into one line.

    Errors keep their class, so retry policies can match it. Those that no retry can mend (a wrong key, a missing
    permission, an unusable connection) also are ``AirflowFailException`` and end the task at once, see
    :mod:`airflow_providers_leads.hooks.permanent`.

    :param deferrable: wait in the triggerer instead of a worker when the CRM asks for more than a minute, and then run
        again; default Airflow's ``[operators] default_deferrable``
    """

    ui_color = "#eef5ff"
    datasets: ClassVar[Datasets | None] = None
    """What it reads and writes, for lineage; ``None`` when that is not told."""
    stages: ClassVar[bool] = False
    """Whether files go below ``[leads] staging`` when there is no ``output``."""
    _lineage: Lineage | None = None

    def __init__(
        self, *, deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Run the operator; see :meth:`run`."""
        return self._run_or_defer(context, waits=0)

    def resume(self, context: Context, event: Any = None, waits: int = 1) -> Any:
        """Run again after a wait in the triggerer.

        :param event: of the trigger, which only tells the time
        :param waits: how often it has waited
        """
        return self._run_or_defer(context, waits=waits)

    def _run_or_defer(self, context: Context, waits: int) -> Any:
        from airflow_providers_leads.tasks.returns import note_failure

        seconds = self.execution_timeout.total_seconds() if self.execution_timeout else None
        try:
            with task_bounds(seconds=seconds, max_wait=_LONGEST_SLEEP if self.deferrable else None):
                return self._told(in_one_line(lambda: self._checked_run(context)))
        except LeadsRateLimitError as error:
            wait = error.retry_after
            if not self.deferrable or wait is None or wait > LONGEST_DEFERRAL or waits >= _MOST_DEFERRALS:
                note_failure(context, self, error)
                raise
            self.log.info("%s Waiting for it in the triggerer.", error)
        except Exception as error:
            note_failure(context, self, error)
            raise
        # Outside of the handler: being deferred is no consequence of an error that a log should tell of.
        return self._defer(wait, waits + 1)

    def _told(self, result: T) -> T:
        from airflow_providers_leads.tasks.lineage import lineage_of

        self._lineage = lineage_of(self, result)
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the task read and wrote to OpenLineage, ``None`` where that is not told."""
        from airflow_providers_leads.tasks.lineage import openlineage_facets

        return openlineage_facets(self._lineage)

    def _defer(self, wait: float, waits: int) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        # Tasks that are told the same second must not all come back in it.
        moment = timedelta(seconds=wait + random.uniform(1.0, 1.0 + min(30.0, wait / 10)))
        self.defer(trigger=TimeDeltaTrigger(moment), method_name="resume", kwargs={"waits": waits})

    def _checked_run(self, context: Context) -> Any:
        # What is read or written and then can't be kept is lost, and was paid for.
        if (folder := self.output_folder(context)) is not None:
            check_output_folder(folder)
        with heartbeat(self.log), writing_as(context):
            return self.run(context)

    def output_folder(self, context: Context) -> str | None:
        """Return the URI below which the files go, or of the file, ``None`` when there is none."""
        output = given(getattr(self, "output_uri", None))
        return resolve_folder(output, context) if output is not None or self.stages else None

    @abstractmethod
    def run(self, context: Context) -> Any:
        """Do the work and return what goes to XCom."""


def in_one_line(work: Callable[[], T]) -> T:
    """Return what a function returns; what a user can mend ends it in one line, see :class:`LeadsOperator`."""
    from airflow_providers_leads.hooks.permanent import PERMANENT, without_retries

    try:
        return work()
    except tuple(PERMANENT) as error:
        raise without_retries(error).with_traceback(None) from None
    except (LeadsApiError, ValueError) as error:
        # The message says it all: our own frames would only push it off the screen.
        raise error.with_traceback(None) from None
