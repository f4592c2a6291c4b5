"""What the commands are called and take; imports nothing heavy, because every ``airflow`` command loads it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_providers_leads.cli.standard import data_alone
from airflow_providers_leads.cli.version import version_line

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

PROG: Final = "python -m airflow_providers_leads"
_PIPE_CLOSED: Final = 141
"""What a shell calls the end of a program whose output nobody reads: 128 and the number of SIGPIPE."""
_GROUP_HELP: Final = "Look at lead CRMs: check a connection, pull its leads, see what a sync would change"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :param name: the word for it
    :param help: one line
    :param arguments: flags, and their options of :meth:`argparse.ArgumentParser.add_argument`
    """

    name: str
    help: str
    arguments: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...]


def _count(value: str) -> int:
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {value!r}")
    return int(value)


_CONN_ID: Final = (("conn_id",), {"help": "Airflow connection of a lead CRM"})


def _output(default: str) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    help_ = f"what is printed: a table for people, or data for programs (default {default})"
    return ("-o", "--output"), {"choices": ("table", "json", "csv", "yaml"), "default": default, "help": help_}


_OUTPUT: Final = _output("table")
_LIMIT: Final = (
    ("--limit",),
    {"type": _count, "default": None, "help": "rows to print at most (default 50 in a table, else all)"},
)
_SHOWN: Final = (
    ("--show-addresses",),
    {"action": "store_true", "default": False, "help": "addresses and values in the clear"},
)
_ACTION: Final = (
    ("--action",),
    {
        "choices": ("create", "update", "unchanged", "suppress"),
        "default": None,
        "help": "print rows of this action only",
    },
)
_SCOPE: Final = (
    ("--scope",),
    {
        "action": "append",
        "default": None,
        "metavar": "KEY=VALUE",
        "help": "narrow the read, such as funnel_ids=ID, properties=NAME, status=NAME; may be given several times",
    },
)

COMMANDS: Final = (
    Command(
        "check", "Say whether a connection works: key, permissions, and what is left of its limits", (_CONN_ID, _OUTPUT)
    ),
    Command(
        "pull",
        "Read the leads of a connection into a file",
        (
            _CONN_ID,
            (
                ("file",),
                {"help": "path or URI of a .parquet, .csv, .json or .jsonl file, which says the form; or of a folder"},
            ),
            (
                ("--updated-after",),
                {"help": "only what changed since, an ISO 8601 time with an offset", "default": None},
            ),
            _SCOPE,
            _OUTPUT,
        ),
    ),
    Command(
        "diff",
        "Show what a sync into a connection would change; writes nothing",
        (
            (("conn_id",), {"help": "Airflow connection of the destination"}),
            (
                ("sources",),
                {
                    "nargs": "+",
                    "metavar": "SOURCE",
                    "help": "connections to read, files of leads, or one file of golden records",
                },
            ),
            (
                ("--mode",),
                {
                    "choices": ("update", "fill", "create_only"),
                    "default": "update",
                    "help": "write what differs (default), fill what is empty, or touch no existing record",
                },
            ),
            (("--policy",), {"default": None, "help": "merge policy, a .yaml file"}),
            (
                ("--option",),
                {
                    "action": "append",
                    "default": None,
                    "metavar": "KEY=VALUE",
                    "help": "a write option of the CRM, such as funnel_id=ID; may be given several times",
                },
            ),
            (("--funnel-id",), {"default": None, "help": "the same as --option funnel_id=ID"}),
            _ACTION,
            _LIMIT,
            _SHOWN,
            _OUTPUT,
        ),
    ),
    Command(
        "plan",
        "Print a plan: each person and each change, and its totals",
        ((("uri",), {"help": "path or URI of a plan file"}), _ACTION, _LIMIT, _SHOWN, _OUTPUT),
    ),
    Command(
        "results",
        "Print what became of a plan, person by person",
        (
            (("uri",), {"help": "path or URI of a file of results"}),
            (
                ("--outcome",),
                {
                    "choices": ("created", "updated", "unchanged", "suppressed", "failed", "ambiguous"),
                    "default": None,
                    "help": "print rows of this outcome only",
                },
            ),
            _LIMIT,
            _SHOWN,
            _OUTPUT,
        ),
    ),
    Command(
        "report",
        "Make the report of a run's files",
        (
            (("folder",), {"help": "path or URI of the folder of the run's files, and of no other's"}),
            (("file",), {"help": "path or URI of the .html file to write"}),
            _SHOWN,
            _OUTPUT,
        ),
    ),
    Command(
        "memory",
        "Look at what a sync remembers: as a whole, of one person, or forget it all",
        (
            (("action",), {"choices": ("status", "show", "forget"), "help": "what to do"}),
            (("uri",), {"help": "path or URI of the memory's folder, such as <staging>/memory/leads_sync"}),
            (("address",), {"nargs": "?", "default": None, "help": "of show: any address that the person has or had"}),
            (("--yes",), {"action": "store_true", "default": False, "help": "of forget: don't ask"}),
            _output("json"),
        ),
    ),
    Command("version", "Say which version this is", ()),
)


def get_leads_cli_commands() -> list[CLICommand]:
    """Return the commands of ``airflow leads``."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    subcommands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=_runner(command.name),
            args=[Arg(flags=flags, **options) for flags, options in command.arguments],  # type: ignore[no-untyped-call]
        )
        for command in COMMANDS
    ]
    return [GroupCommand(name="leads", help=_GROUP_HELP, subcommands=subcommands)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 the check or the work failed, 2 it was called wrongly."""
    parser = argparse.ArgumentParser(prog=PROG, description=_GROUP_HELP)
    parser.add_argument("--version", action="version", version=version_line())
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.help, description=command.help)
        for flags, options in command.arguments:
            one.add_argument(*flags, **options)
    given = parser.parse_args(arguments)
    return _run(given.command, given)


def _runner(name: str) -> Callable[[argparse.Namespace], None]:
    def run(given: argparse.Namespace) -> None:
        if code := _run(name, given):
            sys.exit(code)

    # What Airflow's audit log calls it.
    run.__name__ = f"leads_{name}"
    return run


def _run(name: str, given: argparse.Namespace) -> int:
    try:
        with data_alone() as out:
            from airflow_providers_leads.cli.commands import run

            return run(name, given, out)
    except BrokenPipeError:
        # Whoever read it has enough, as `head` has.
        return _PIPE_CLOSED
    except OSError as error:
        # Of a file that the output is led into, such as one of a full disk.
        print(f"Standard output can't be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        # Also while what the command needs is loaded.
        print("Stopped. Nothing was written to any CRM.", file=sys.stderr)  # noqa: T201
        return 1
