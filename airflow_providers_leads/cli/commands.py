"""What the commands do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, TextIO

import pendulum
from airflow.providers.common.compat.sdk import AirflowException

from airflow_providers_leads.cli.memory import memory
from airflow_providers_leads.cli.places import as_uri
from airflow_providers_leads.cli.run_files import plan, report, results
from airflow_providers_leads.cli.terminal import Terminal
from airflow_providers_leads.cli.version import version_line
from airflow_providers_leads.hooks.arguments import maybe_instant
from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.files.exports import ENDINGS, export_leads, form_of
from airflow_providers_leads.leads.files.plan_facts import read_plan_facts
from airflow_providers_leads.leads.files.staging import read_rows
from airflow_providers_leads.leads.memory.watermarks import Watermark, plan_round
from airflow_providers_leads.leads.merge.golden import merge_files
from airflow_providers_leads.leads.merge.policy import policy_from
from airflow_providers_leads.leads.merge.survivorship import GOLDEN_SOURCE
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.plan import show
from airflow_providers_leads.report.printed import print_rows
from airflow_providers_leads.tasks.extract import extract
from airflow_providers_leads.tasks.paths import check_output_folder, path_at, safe_name, storage_path
from airflow_providers_leads.tasks.plan import PlanTask, write_plan

if TYPE_CHECKING:
    from airflow_providers_leads.leads.merge.policy import MergePolicy

_PULLED: Final = ("conn_id", "rows", "rejects", "watermark", "complete")
"""What is told of a read to a program."""


def run(name: str, given: argparse.Namespace, out: TextIO) -> int:
    """Run a command and return its exit code; what fails is told in one line on standard error.

    :param name: of the command
    :param given: its parsed arguments
    :param out: where its data goes
    """
    # Without it Airflow looks connections up in the environment only, as in a task that has no server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    commands: Mapping[str, Callable[[argparse.Namespace, TextIO], int]] = {
        "check": check,
        "pull": pull,
        "diff": diff,
        "plan": plan,
        "results": results,
        "report": report,
        "memory": memory,
        "version": show_version,
    }
    try:
        return commands[name](given, out)
    except BrokenPipeError:
        raise
    except (LeadsApiError, LeadsSettingsError, AirflowException) as error:
        return _refuse(str(error), 1)
    except ValueError as error:
        return _refuse(str(error), 2)
    except Exception as error:
        # Of an error that nobody foresaw the text may hold anything.
        return _refuse(f"{name} failed unexpectedly ({type(error).__name__})", 1)


def show_version(given: argparse.Namespace, out: TextIO) -> int:
    """Say which version this is."""
    out.write(version_line() + "\n")
    return 0


def check(given: argparse.Namespace, out: TextIO) -> int:
    """Say whether a connection works and what is left of its limits."""
    hook = get_leads_hook(given.conn_id)
    works, message = hook.test_connection()
    # Written for the form, which is about one connection.
    message = message if works else message.replace("This connection", hook.label, 1)
    limits = hook.limits_left() if works else []
    if given.output != "table":
        row = {"conn_id": given.conn_id, "works": works, "message": message, "limits": limits}
        print_rows([row], given.output, out)
    elif works:
        out.writelines(f"{line}\n" for line in (message, *limits))
    return 0 if works else _refuse(message, 1)


def pull(given: argparse.Namespace, out: TextIO) -> int:
    """Read a CRM into a file."""
    hook = get_leads_hook(given.conn_id)
    uri = _target(given.file, given.conn_id)
    check_output_folder(uri)
    scope = _pairs("--scope", given.scope or ())
    with TemporaryDirectory(prefix="leads-pull-") as folder, Terminal() as terminal:
        ours = uri.lower().endswith(".parquet")
        written = uri if ours else f"file://{folder}/leads.parquet"
        read = _extract(hook, written, scope, terminal, updated_after=given.updated_after)
        if not ours:
            export_leads(storage_path(written), storage_path(uri))
    if given.output == "table":
        out.write(f"{read['rows']} leads in {uri}\n")
    else:
        print_rows([{name: read[name] for name in _PULLED} | {"uri": uri}], given.output, out)
    return 0


def _target(path: str, conn_id: str) -> str:
    """Return the URI of the file that leads are pulled into; a folder is given one of its own.

    :raises ValueError: for a name that says no form in which leads can be written
    """
    uri, name = as_uri(path), path.rstrip("/").rpartition("/")[2]
    is_folder = "://" not in path and Path(path).is_dir()
    ending = "" if path.endswith("/") else form_of(name)
    if ending and not is_folder:
        return uri
    if ending or (ending is None and not is_folder):
        why = "it is a folder" if is_folder else f"leads are written as {', '.join(ENDINGS)}; a folder ends in a slash"
        raise ValueError(f"{path} can't be written: {why}")
    return f"{uri.rstrip('/')}/{safe_name(conn_id)}.leads.parquet"


def diff(given: argparse.Namespace, out: TextIO) -> int:
    """Show what a sync would change."""
    hook = get_leads_hook(given.conn_id)
    options = _pairs("--option", given.option or ())
    if given.funnel_id:
        options["funnel_id"] = given.funnel_id
    hook.check_write_options(**options)
    policy = policy_from(given.policy, path_at)
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
        show(uri, facts, shown=given.show_addresses, action=given.action, limit=given.limit, form=given.output, out=out)
    return 0


def _golden(
    sources: Sequence[str], folder: str, policy: MergePolicy, terminal: Terminal
) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Return the golden records of some sources, their members, and what was read of connections."""
    read, files = [], []
    for number, source in enumerate(sources):
        if _is_file(source):
            files.append(as_uri(source))
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
    hook.check_read(**scope)
    after = maybe_instant("--updated-after", updated_after)
    nothing = timedelta()
    mark = Watermark(at=after.isoformat()) if after else None
    reads = plan_round(mark, pendulum.now("UTC"), scope=scope, settle=nothing, overlap=nothing)
    return extract(hook, uri, scope=scope, log=terminal, reads=reads)


def _is_golden(uri: str) -> bool:
    rows = read_rows(storage_path(uri), Lead)
    try:
        return (first := next(rows, None)) is not None and first.source == GOLDEN_SOURCE
    finally:
        rows.close()  # type: ignore[attr-defined]  # a generator, which holds the file


def _is_file(source: str) -> bool:
    # A folder may have a connection's name: pull makes such ones.
    return "/" in source or bool(form_of(source)) or Path(source).is_file()


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


def _refuse(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)  # noqa: T201
    return code
