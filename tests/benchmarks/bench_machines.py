"""Benchmark of one key on several machines: what they use of its quota, how they share it, and what is refused.

Each machine is a process with a folder of its own; the server keeps the quota strictly, in a rolling window that is
shorter than the vendors' so that a minute or two are enough. ``make bench-machines`` runs it; needs a ``redis-server``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench_crm import Settings
from bench_merge import stands_on, write_section
from bench_pace import ROOT, spent_together

sys.path.insert(0, str(ROOT / "tests" / "unit" / "http"))
from redis_process import running_redis

_MARKS: Final = ("<!-- bench-machines: begin -->", "<!-- bench-machines: end -->")
_SETTINGS: Final = Settings(rows=100_000, latency=0.02, limit=100, period=2.5)
_WINDOWS: Final = 6
_RUNS: Final = (("hubspot", 2), ("hubspot", 4), ("hubspot", 8), ("persistiq", 8))
_HEAD: Final = "| | share of the limit used | busiest : laziest | refused (429) |\n|---|---:|---:|---:|"


def row(crm: str, machines: int, store_url: str) -> str:
    """Let machines spend one key and return how that went as a row of a Markdown table."""
    seconds = _WINDOWS * _SETTINGS.period
    told = spent_together(_SETTINGS, crm, range(machines), seconds, store_url)
    least, most = told["shares"]
    how = "through a Redis" if store_url else "by headers alone"
    line = (
        f"| {crm}, {machines} machines, {how} | {told['used']:.0%} | {most / max(1, least):.1f} : 1 "
        f"| {told['refusals']} ({told['part']:.1%}) |"
    )
    sys.stderr.write(line + "\n")
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    options = parser.parse_args(arguments)
    with running_redis() as server:
        rows = [row(crm, machines, url) for url in (server.url, "") for crm, machines in _RUNS]
    section = (
        f"## One key, several machines\n\nAll begin at once and read without end; "
        f"{_SETTINGS.limit} requests in {_SETTINGS.period:g} s, {_SETTINGS.latency * 1000:.0f} ms per answer, "
        f"{_WINDOWS} windows, the first of which is left out of the share.\n\n{_HEAD}\n" + "\n".join(rows) + "\n\n"
        f"{stands_on(['apache-airflow', 'redis', 'requests'], [])}. Run it with `make bench-machines`."
    )
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section, _MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
