"""What to do about a run, in a sentence each: the page says it where the trouble stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from airflow_providers_leads.report.rows import PENDING


class Step(NamedTuple):
    """What is to be done, and where: a link whose address is within Airflow or within these pages."""

    text: str
    link: str = ""
    url: str = ""
    outside: bool = False


def what_now(
    *,
    waiting: bool,
    run_url: str,
    failed: Iterable[tuple[str, str]],
    outcomes: Mapping[str, tuple[int, str]],
    unlike: bool,
) -> list[Step]:
    """Return what to do, the most pressing first; nothing where all is well.

    :param waiting: a task waits for an answer
    :param run_url: where Airflow shows it
    :param failed: name and address of the tasks that failed
    :param outcomes: outcome → people of all destinations, and the page that shows them
    :param unlike: something is unlike the last runs
    """
    steps = []
    if waiting:
        steps.append(
            Step(
                "The run waits for you. Look at the people below, then answer; without an answer nothing is written.",
                "Approve or reject", f"{run_url}/required_actions", outside=True,
            )
        )  # fmt: skip
    steps += [
        Step(
            "Read why it failed. When the cause is gone, clear the task: the next try goes on where this one ended and "
            "creates nobody twice.",
            f"The log of {name}", url, outside=True,
        )
        for name, url in failed
    ]  # fmt: skip
    texts = {
        "failed": "The CRM refused {} or could not be reached. Mend in the source what the reason names: the next run "
        "writes them. Who is refused three times is left alone until the record changes.",
        "ambiguous": "Of {} nobody knows whether the write took effect. Do nothing: the next run looks them up before "
        "it writes, so nobody is created twice.",
        PENDING: "The write was stopped before {}. Clear the task or wait for the next run: it goes on from there.",
    }
    for outcome, text in texts.items():
        number, url = outcomes.get(outcome, (0, ""))
        if number:
            people = "1 person" if number == 1 else f"{number:,} people"
            steps.append(Step(text.format(people), "Who, and why", url))
    if unlike and not waiting:
        steps.append(
            Step(
                "Compare with the run before. If it is not what you expect, pause the DAG before it runs again; "
                "max_changes and min_share_of_last stop such a run before its first write."
            )
        )
    return steps
