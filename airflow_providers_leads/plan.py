"""``python -m airflow_providers_leads.plan show URI``: a plan file as a table, without Airflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from airflow_providers_leads.leads.files.plan_facts import ACTIONS, PlanFacts, PlanTotals, read_plan_facts
from airflow_providers_leads.leads.files.staging import StagingError, read_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.plan.mapped import by_place
from airflow_providers_leads.report.masking import mask_address
from airflow_providers_leads.report.printed import FORMS, ROWS_OF_A_TABLE, print_some, printable, whole_table

_NOTHING = "(empty)"
_HIDDEN = "***"
_STYLES = {"create": "green", "update": "yellow", "unchanged": "dim", "suppress": "red"}


def changes(row: PlanRow, *, shown: bool) -> str:
    """Return what a row would change, one field per line.

    :param row: the row
    :param shown: false tells only whether there is a value: values are personal data too
    """

    def told(value: str | None) -> str:
        return (printable(value) if shown else _HIDDEN) if value else _NOTHING

    before, after = _before_and_after(row)
    return "\n".join(f"{printable(name)}: {told(before.get(name))} → {told(value)}" for name, value in after.items())


def _before_and_after(row: PlanRow) -> tuple[dict[str, str | None], dict[str, str | None]]:
    return by_place(row.before, row.properties_before), by_place(row.values, row.properties)


def rows_table(rows: Iterable[PlanRow], *, shown: bool) -> Table:
    """Return rows of a plan as a table."""
    table = whole_table(
        ("Action", "Person", "Reason", "Changes", "Requests"),
        (
            (
                Text(row.action, style=_STYLES.get(row.action, "")),
                Text(printable(row.email_key) if shown else mask_address(printable(row.email_key))),
                Text(printable(row.reason or "")),
                Text(changes(row, shown=shown)),
                Text(f"{row.requests:g}"),
            )
            for row in rows
        ),
    )
    table.columns[-1].justify = "right"
    return table


def row_data(row: PlanRow, *, shown: bool) -> dict[str, Any]:
    """Return a row of a plan for programs.

    :param row: the row
    :param shown: false hides addresses and values, as in :func:`changes`
    """

    def told(value: str | None) -> str | None:
        return value if shown or not value else _HIDDEN

    before, after = _before_and_after(row)
    return {
        "action": row.action,
        "person": row.email_key if shown else mask_address(row.email_key),
        "target_id": row.target_id,
        "reason": row.reason,
        "changes": {name: {"before": told(before.get(name)), "after": told(value)} for name, value in after.items()},
        "requests": row.requests,
    }


def summary(facts: PlanFacts, totals: PlanTotals) -> str:
    """Return what the whole plan amounts to."""
    scope = f", scope {facts.scope}" if facts.scope else ""
    lines = [
        f"Plan for {facts.conn_id} ({facts.conn_type}{scope}), mode {facts.mode}, planned at "
        f"{facts.planned_at.isoformat(timespec='seconds')}",
        ", ".join(f"{action} {totals.actions[action]}" for action in ACTIONS),
        f"{totals.requests} requests, {totals.minutes(facts):g} minutes at least at "
        f"{facts.requests_per_second:g} requests per second",
    ]
    if totals.duplicates:
        lines.append(f"{totals.duplicates} people have duplicates in the destination")
    for title, counted in (("Fields", totals.fields), ("Reasons", totals.reasons)):
        if counted:
            told = ", ".join(f"{printable(name)} {number}" for name, number in counted.most_common())
            lines.append(f"{title}: {told}")
    return "\n".join(lines)


def show(
    uri: str, facts: PlanFacts, *, shown: bool = False, action: str | None = None, limit: int | None = None,
    form: str = "table", out: TextIO | None = None,
) -> None:  # fmt: skip
    """Print a plan; as anything but a table its rows alone, and its totals on standard error.

    :param uri: the plan file; any URI that fsspec understands
    :param facts: of the plan
    :param shown: print addresses and values in the clear
    :param action: print rows of this action only; the totals are those of the whole plan
    :param limit: rows to print at most; default 50 in a table, else all
    :param form: ``table``, ``json``, ``csv`` or ``yaml``
    :param out: where to; default standard output
    """
    totals = PlanTotals()

    def wanted() -> Iterator[PlanRow]:
        for row in read_rows(uri, PlanRow):
            totals.add(row)
            if action in (None, row.action):
                yield row

    print_some(
        wanted(),
        form,
        out,
        limit=limit,
        data=lambda row: row_data(row, shown=shown),
        table=lambda rows: rows_table(rows, shown=shown),
        totals=lambda: summary(facts, totals),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: printed, 2: there is no such plan, or the arguments are wrong."""
    parser = argparse.ArgumentParser(prog="python -m airflow_providers_leads.plan", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="show")
    command = commands.add_parser("show", help="print a plan as a table, and its totals")
    command.add_argument(
        "uris", nargs="+", metavar="uri",
        help="the plan file: a path or URI; credentials of a store come from its own settings",
    )  # fmt: skip
    command.add_argument("--show-addresses", action="store_true", help="print addresses and values in the clear")
    command.add_argument("--action", choices=ACTIONS, help="print rows of this action only")
    command.add_argument(
        "--limit", type=_count, default=None,
        help=f"rows to print at most (default {ROWS_OF_A_TABLE} in a table, else all)",
    )  # fmt: skip
    command.add_argument("-o", "--output", choices=FORMS, default="table", help="what is printed (default %(default)s)")
    given = parser.parse_args(arguments)
    if len(given.uris) > 1 and given.output != "table":
        return _refuse("give one plan: programs could not tell the rows of several apart")
    plans = {}
    for uri in given.uris:
        try:
            plans[uri] = read_plan_facts(uri)
        except StagingError as error:
            return _refuse(str(error))
        except Exception as error:
            # Each store has errors of its own: a missing driver, missing rights, an unknown kind of URI.
            return _refuse(f"{uri} can't be read ({type(error).__name__}). {_hint(uri)}")
    for uri, facts in plans.items():
        if len(plans) > 1 and given.output == "table":
            sys.stdout.write(f"{uri}\n")
        show(uri, facts, shown=given.show_addresses, action=given.action, limit=given.limit, form=given.output)
    return 0


def _count(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError
    return number


def _hint(uri: str) -> str:
    if "@" in uri.partition("://")[2].partition("/")[0]:
        return "Outside Airflow no connection is known: use airflow leads plan, or leave its id before the @ out."
    return "Check the URI, the store's driver (such as s3fs) and its credentials."


def _refuse(message: Any) -> int:
    print(" ".join(str(message).split()), file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
