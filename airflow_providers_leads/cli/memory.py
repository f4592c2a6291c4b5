"""What a sync remembers, on the command line: hashes and times, never a value or an address."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, TextIO

from airflow_providers_leads.leads.memory.looking import of_person, status
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.report.printed import print_rows
from airflow_providers_leads.tasks.memory.folders import folder_at


def memory(given: argparse.Namespace, out: TextIO) -> int:
    """Look at what a sync remembers, or forget it.

    :raises ValueError: when there is no memory at the URI, or no address was given
    """
    folder = folder_at(str(given.uri).rstrip("/"))
    if given.action == "status":
        _print(status(folder), given.output, out)
        return 0
    if given.action == "show":
        key = email_key(given.address or "")
        if key is None:
            raise ValueError("memory show needs the address of a person")
        records = of_person(folder, key)
        _print(records, given.output, out)
        return 0 if records else _told("Nothing is remembered of this person.")
    if not (folder.path / "current.json").exists():
        raise ValueError(f"memory {folder.path}: there is none")
    if not given.yes and not sys.stdin.isatty():
        return _told("Nothing was forgotten: there is nobody to ask. Give --yes to forget it all the same.")
    if not given.yes and not _agreed(f"Forget all that sync {folder.name} remembers? Its next run has no past [y/N] "):
        return _told("Nothing was forgotten.")
    folder.forget()
    _print({"forgotten": str(folder.path)}, given.output, out)
    return 0


def _agreed(question: str) -> bool:
    return input(question).strip().lower() in ("y", "yes")


def _told(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return 1


def _print(content: Any, form: str, out: TextIO) -> None:
    if form == "json":
        out.write(json.dumps(content, indent=2) + "\n")
    else:
        print_rows(content if isinstance(content, list) else [content], form, out)
