"""Checks lines of shell: that what they name exists and takes these arguments. A few are run."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from airflow.providers.common.compat.sdk import Connection, conf
from block_runs import environment
from code_blocks import ROOT

from airflow_providers_leads.get_provider_info import get_provider_info
from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.sandbox.__main__ import parse_arguments

PLAIN = {"cd", "mkdir", "source"}
"""Of the shell itself."""


def lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each command."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|\|)\s", line):
            words = shlex.split(part, comments=True)
            if words:
                yield words


def check(words: list[str], plan: str) -> None:
    """Fail unless a command is one that works.

    :param words: of the command
    :param plan: path of a plan file, which stands for whichever the command names
    """
    if words[0] == "export":
        return check_variables(words[1:])
    while re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
        check_variables(words[:1])
        words = words[1:]
    if words[0] in PLAIN:
        return None
    assert words[0] in COMMANDS, f"no way to check {words[0]!r}"
    return COMMANDS[words[0]](words[1:], plan)


def check_variables(assignments: list[str]) -> None:
    """Check `NAME=VALUE`: a connection, or an option of Airflow that exists."""
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name.startswith("AIRFLOW_CONN_"):
            check_connection(name.removeprefix("AIRFLOW_CONN_").lower(), value)
        elif name.startswith("AIRFLOW__"):
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            ours = get_provider_info()["config"].get(section, {}).get("options", {})
            assert option in ours or conf.has_option(section, option), name
        else:
            assert name in ("AIRFLOW_HOME", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"), name


def check_connection(conn_id: str, value: str) -> None:
    """Check that a connection can be read, and that its hook takes its settings."""
    with environment({f"AIRFLOW_CONN_{conn_id.upper()}": value}):
        if json.loads(value).get("conn_type") not in ("hubspot", "perspective", "persistiq"):
            assert Connection.from_json(value, conn_id).conn_type
            return
        hook = get_leads_hook(conn_id)
        assert hook.client
        known = next(
            kind["conn-fields"]
            for kind in get_provider_info()["connection-types"]
            if kind["connection-type"] == hook.conn_type
        )
        assert set(hook.settings.extra) <= set(known)


def _make(words: list[str], plan: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {word for word in words if "=" not in word} <= targets


def _pip(words: list[str], plan: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert words[0] == "install"
    for wanted in words[1:]:
        found = re.fullmatch(r"(?:\.\./)?airflow-providers-leads(?:\[([\w,]+)\])?", wanted)
        assert found, wanted
        assert set((found[1] or "").split(",")) - {""} <= set(project["optional-dependencies"])


def _python(words: list[str], plan: str) -> None:
    if words[:2] == ["-m", "venv"]:
        return
    assert words[0] == "-m", words
    module, arguments = words[1], words[2:]
    MODULES.get(module, functools.partial(_ask_for_help, module))(arguments, plan)


def _sandbox(arguments: list[str], plan: str) -> None:
    parse_arguments(arguments)


def _plan(arguments: list[str], plan: str) -> None:
    from airflow_providers_leads.plan import main

    assert main([plan if word.endswith(".parquet") else word for word in arguments]) == 0


def _ask_for_help(module: str, arguments: list[str], plan: str) -> None:
    plain = [word for word in arguments if not word.startswith("-")][:1]
    command = [sys.executable, "-m", module, *plain, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for word in arguments:
        if word.startswith("--"):
            assert word.partition("=")[0] in done.stdout, word


def _airflow(words: list[str], plan: str) -> None:
    _airflow_parser().parse_args(words)


def _own(arguments: list[str], plan: str) -> None:
    # Takes the same commands as Airflow's, which its own tests hold.
    if arguments[0].startswith("-"):
        _ask_for_help("airflow_providers_leads", arguments, plan)
    else:
        _airflow(["leads", *arguments], plan)


@functools.cache
def _airflow_parser() -> Any:
    from airflow.cli import cli_parser

    return cli_parser.get_parser()


COMMANDS: dict[str, Callable[[list[str], str], None]] = {
    "airflow": _airflow,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "python3": _python,
}
MODULES: dict[str, Callable[[list[str], str], None]] = {
    "airflow_providers_leads": _own,
    "airflow_providers_leads.plan": _plan,
    "airflow_providers_leads.sandbox": _sandbox,
}
