"""Run the sandbox: `python -m airflow_providers_leads.sandbox`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.faults import FaultPlanError, load_plan
from airflow_providers_leads.sandbox.server import PortTakenError, Sandbox


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_providers_leads.sandbox",
        description="Serve local stand-ins for HubSpot, Perspective and PersistIQ, with seeded people.",
    )
    add = parser.add_argument
    add("--people", type=int, default=500, help="how many people to invent (default: %(default)s)")
    add("--seed", type=int, default=7, help="the same seed invents the same people (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--hubspot-port", type=int, default=8081, metavar="PORT", help="0 = any free one (default: %(default)s)")
    add("--perspective-port", type=int, default=8082, metavar="PORT", help="(default: %(default)s)")
    add("--persistiq-port", type=int, default=8083, metavar="PORT", help="(default: %(default)s)")
    add("--no-limits", action="store_true", help="never answer 429")
    add("--time-scale", type=float, default=1.0, metavar="X", help="make rate-limit windows X times shorter")
    add("--faults", type=Path, metavar="PATH", help="YAML file that says what goes wrong, see docs/sandbox.md")
    add("--ready-file", type=Path, metavar="PATH", help="write origins and keys here once all ports answer")
    options = parser.parse_args(arguments)
    if options.people < 0 or options.time_scale <= 0:
        parser.error("--people must not be negative and --time-scale must be positive")
    return options


def greeting(sandbox: Sandbox) -> str:
    """Return what somebody who just started the sandbox needs to know."""
    lines = [f"Sandbox with {len(sandbox.people)} people (seed {sandbox.config.seed}).", ""]
    lines += [f"  {api.name:<12} {api.origin:<24} key {api.key}" for api in sandbox.apis]
    lines += ["", "Let Airflow use it:", ""]
    lines += [f"export {name}='{value}'" for name, value in sandbox.connection_env().items()]
    lines += ["", f"What it was asked: {sandbox.apis[0].origin}/_sandbox/stats (on each port). Stop with Ctrl-C."]
    return "\n".join(lines)


def write_ready_file(path: Path, sandbox: Sandbox) -> None:
    """Write origins and keys in one step, so that a waiting reader never sees half a file."""
    content = {api.name: {"origin": api.origin, "key": api.key} for api in sandbox.apis}
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content | {"pid": os.getpid()}, indent=2), encoding="utf-8")
    part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    options = parse_arguments(arguments)
    try:
        faults = load_plan(options.faults) if options.faults else None
    except (FaultPlanError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    config = SandboxConfig(
        people=options.people,
        seed=options.seed,
        host=options.host,
        hubspot_port=options.hubspot_port,
        perspective_port=options.perspective_port,
        persistiq_port=options.persistiq_port,
        limits=not options.no_limits,
        time_scale=options.time_scale,
        faults=faults,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        sandbox = Sandbox(config)
    except PortTakenError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    with sandbox:
        print(greeting(sandbox), flush=True)
        if options.ready_file:
            write_ready_file(options.ready_file, sandbox)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
