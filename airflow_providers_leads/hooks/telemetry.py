"""What the package tells Airflow's metrics and lineage. Where neither is set up, nothing happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from airflow.providers.common.compat.sdk import Stats, get_hook_lineage_collector

REQUESTS: Final = "leads.requests"
ROWS: Final = "leads.rows"
METRICS: Final[Mapping[str, tuple[str, ...]]] = {REQUESTS: ("crm", "status"), ROWS: ("crm", "outcome")}
"""Counter → its tags; there are no others. ``docs/monitoring.md`` and its dashboard are held to them."""


def count_request(crm: str, status: int | None) -> None:
    """Count a request that was sent, as ``leads.requests``.

    :param crm: connection type
    :param status: HTTP status of the answer, ``None`` when none arrived
    """
    Stats.incr(REQUESTS, tags={"crm": crm, "status": status_class(status)})


def count_rows(crm: str, outcomes: Mapping[str, int]) -> None:
    """Count leads by what became of them, as ``leads.rows``.

    :param crm: connection type
    :param outcomes: outcome → number of leads; a zero is not sent
    """
    for outcome, number in outcomes.items():
        if number:
            Stats.incr(ROWS, number, tags={"crm": crm, "outcome": outcome})


def status_class(status: int | None) -> str:
    """Return an HTTP status as one of a few words: ``2xx`` …, ``429``, ``none`` without an answer."""
    if status is None:
        return "none"
    # A spent quota is the one refusal that somebody watches for.
    return "429" if status == 429 else f"{status // 100}xx"


def collect_lineage(context: Any, *, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Tell Airflow's lineage collector what was read and written.

    :param context: what did it: a hook or an operator
    :param inputs: URIs
    :param outputs: URIs
    """
    collector = get_hook_lineage_collector()
    for uri in inputs:
        collector.add_input_asset(context=context, uri=uri)
    for uri in outputs:
        collector.add_output_asset(context=context, uri=uri)
