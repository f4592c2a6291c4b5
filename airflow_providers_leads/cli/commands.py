"""What the commands do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowException

from airflow_providers_leads.cli.memory import memory
from airflow_providers_leads.cli.terminal import Terminal
from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.tasks.paths import safe_name, storage_path

if TYPE_CHECKING:
    from airflow_providers_leads.leads.merge.policy import MergePolicy


def run(name: str, given: argparse.Namespace) -> int:
    """Run a command and return its exit code; what fails is told in one line on standard error.

    :param name: of the command
    :param given: its parsed arguments
    """
    # Without it Airflow looks connections up in the environment only, as in a task that has no server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    commands: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "check": check,
        "pull": pull,
        "diff": diff,
        "memory": memory,
    }
    try:
        return commands[name](given)
    except (LeadsApiError, LeadsSettingsError, AirflowException) as error:
        return _refuse(str(error), 1)
    except ValueError as error:
        return _refuse(str(error), 2)
    except KeyboardInterrupt:
        return _refuse("Stopped. Nothing was written to any CRM.", 1)
    except Exception as error:
        # Of an error that nobody foresaw the text may hold anything.
        return _refuse(f"{name} failed unexpectedly ({type(error).__name__})", 1)


def check(given: argparse.Namespace) -> int:
    """Say whether a connection works and what is left of its limits."""
    hook = get_leads_hook(given.conn_id)
    fine, told = hook.test_connection()
    if not fine:
        # Written for the form, which is about one connection.
        return _refuse(told.replace("This connection", hook.label, 1), 1)
    _print(told)
    for line in hook.limits_left():
        _print(line)
    return 0


def pull(given: argparse.Namespace) -> int:
    """Read a CRM into a file."""
    hook = get_leads_hook(given.conn_id)
    uri = _uri(given.output)
    if not uri.endswith(".parquet"):
        uri = f"{uri.rstrip('/')}/{safe_name(given.conn_id)}.leads.parquet"
    with Terminal() as terminal:
        read = _extract(hook, uri, _pairs("--scope", given.scope or ()), terminal, updated_after=given.updated_after)
    _print(f"{read['rows']} leads in {uri}")
    return 0


def diff(given: argparse.Namespace) -> int:
    """Show what a sync would change."""
    from airflow_providers_leads.leads.files.plan_facts import read_plan_facts
    from airflow_providers_leads.leads.merge.policy import policy_from
    from airflow_providers_leads.plan import show
    from airflow_providers_leads.tasks.plan import PlanTask, write_plan

    hook = get_leads_hook(given.conn_id)
    options = _pairs("--option", given.option or ())
    if given.funnel_id:
        options["funnel_id"] = given.funnel_id
    hook.check_write_options(**options)
    policy = policy_from(given.policy)
    # What is read is personal data: only this user can read the folder, and it is gone in the end.
    with TemporaryDirectory(prefix="leads-diff-") as folder:
        with Terminal() as terminal:
            golden, members, read = _golden(given.sources, f"file://{folder}", policy, terminal)
            task = PlanTask(
                hook=hook,
                stem=f"file://{folder}/{safe_name(given.conn_id)}",
                golden=golden,
                members=members,
                existing=read,
                mode=given.mode,
                options=options,
                suppressions=(),
                properties={},
                push_opt_outs=False,
                log=terminal,
            )
            uri = write_plan(task)["plan"]
        facts = read_plan_facts(uri)
        show(uri, facts, shown=given.show_addresses, action=given.action, limit=given.limit)
    return 0


def _golden(
    sources: Sequence[str], folder: str, policy: MergePolicy, terminal: Terminal
) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Return the golden records of some sources, their members, and what was read of connections."""
    from airflow_providers_leads.leads.merge.golden import merge_files

    read, files = [], []
    for number, source in enumerate(sources):
        if _is_file(source):
            files.append(_uri(source))
            continue
        hook = get_leads_hook(source)
        read.append(_extract(hook, f"{folder}/{number}.leads.parquet", {}, terminal))
        files.append(read[-1]["uri"])
    golden = [uri for uri in files if _is_golden(uri)]
    if golden and len(files) > 1:
        raise ValueError(f"{golden[0]} holds golden records: give it alone")
    if golden:
        return golden[0], None, []
    outputs = {name: f"{folder}/{name}.parquet" for name in ("golden", "members")}
    merge_files([storage_path(uri) for uri in files], {n: storage_path(u) for n, u in outputs.items()}, policy=policy)
    return outputs["golden"], outputs["members"], read


def _extract(
    hook: LeadsHook, uri: str, scope: Mapping[str, Any], terminal: Terminal, updated_after: Any = None
) -> dict[str, Any]:
    from airflow_providers_leads.hooks.arguments import maybe_instant
    from airflow_providers_leads.leads.memory.watermarks import Watermark, plan_round
    from airflow_providers_leads.tasks.extract import extract

    hook.check_read(**scope)
    after = maybe_instant("--updated-after", updated_after)
    nothing = timedelta()
    mark = Watermark(at=after.isoformat()) if after else None
    reads = plan_round(mark, pendulum.now("UTC"), scope=scope, settle=nothing, overlap=nothing)
    return extract(hook, uri, scope=scope, log=terminal, reads=reads)


def _is_golden(uri: str) -> bool:
    from airflow_providers_leads.leads.files.staging import read_rows
    from airflow_providers_leads.leads.merge.survivorship import GOLDEN_SOURCE
    from airflow_providers_leads.leads.model.schema import Lead

    rows = read_rows(storage_path(uri), Lead)
    try:
        return (first := next(rows, None)) is not None and first.source == GOLDEN_SOURCE
    finally:
        rows.close()  # type: ignore[attr-defined]  # a generator, which holds the file


def _is_file(source: str) -> bool:
    return "://" in source or source.endswith(".parquet") or Path(source).exists()


def _uri(path: str) -> str:
    # As it is: what is encoded is another name to everything that opens it.
    return path if "://" in path else f"file://{Path(path).absolute()}"


def _pairs(flag: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Return KEY=VALUE as a mapping; a key that is given several times holds a list."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise ValueError(f"{flag} takes KEY=VALUE, such as properties=NAME")
        known = found.get(key)
        found[key] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    return found


def _print(line: str) -> None:
    print(line)  # noqa: T201


def _refuse(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)  # noqa: T201
    return code
