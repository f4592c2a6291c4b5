"""All contacts of a large HubSpot account read by the list alone, and by list and search side by side.

::

    python tests/benchmarks/bench_doors.py --contacts 200000

The quotas are HubSpot's documented ones. All windows, the time that the search index may lag behind and the time that
an answer takes are so many times shorter (``--faster``), and the seconds in the table are told as if they weren't.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench_clients import prepare_ours, run_ours
from bench_crm import PAGE, Settings, running, stats
from bench_merge import stands_on, write_section

MARKS: Final = ("<!-- bench-doors: begin -->", "<!-- bench-doors: end -->")
BURST_SECONDS: Final = 10.0
SEARCHES: Final = 5
# (requests in ten seconds, seconds until an answer): an account of the smallest kind, and of the larger ones.
CASES: Final = ((100, 0.0), (100, 0.05), (190, 0.0))


def read(contacts: int, burst: int, latency: float, faster: float, *, side_by_side: bool) -> dict[str, Any]:
    """Extract all contacts once and return the server's figures, with its seconds as they would have been."""
    from airflow_providers_leads.hooks.hubspot import HubSpotHook

    period, search_period = BURST_SECONDS / faster, 1 / faster
    settings = Settings(
        rows=contacts, latency=latency / faster, limit=burst, period=period, searches=SEARCHES,
        search_period=search_period,
    )  # fmt: skip
    lag = HubSpotHook.settle_seconds
    HubSpotHook.quotas = {**HubSpotHook.quotas, "search": (SEARCHES, search_period)}
    HubSpotHook.settle_seconds = lag / faster
    try:
        with running(settings) as origin, tempfile.TemporaryDirectory() as folder:
            extra = {"rate_limit": burst, "rate_limit_period": period, "search_beside_list": side_by_side}
            prepare_ours(origin, {"extra": extra})
            rows = run_ours(origin, Path(folder), {})
            told = stats(origin)
    finally:
        HubSpotHook.settle_seconds = lag
    assert rows == contacts, f"{rows} contacts were read"
    return {**told, "seconds": told["seconds"] * faster, "refusals": sum(told["refused"].values())}


def dictated(contacts: int, burst: int) -> float:
    """Return the seconds that the list's quota alone dictates: a window may be spent at once."""
    return (-(-contacts // PAGE) - 1) // burst * BURST_SECONDS


def table(contacts: int, faster: float, cases: int) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| quota, ms per answer | read by | requests of the list | searches | refused (429) | seconds "
        "| × the list alone | the list's quota dictates | × that |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for burst, latency in CASES[:cases]:
        least, alone = dictated(contacts, burst), 0.0
        for both in (False, True):
            told = read(contacts, burst, latency, faster, side_by_side=both)
            alone = alone or told["seconds"]
            lines.append(
                f"| {burst} in 10 s, {latency * 1000:.0f} ms | {'list and search' if both else 'the list alone'} "
                f"| {told['answered']:,} | {told['searched']:,} | {told['refusals']} | {told['seconds']:.0f} "
                f"| {told['seconds'] / alone:.2f} | {least:.0f} | {told['seconds'] / least:.2f} |"
            )
            sys.stderr.write(lines[-1] + "\n")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=200_000, help="contacts to read (default 200,000)")
    parser.add_argument("--faster", type=float, default=2.0, help="how much shorter all windows are (default 2)")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the quotas (default all)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose section is replaced")
    options = parser.parse_args(arguments)
    figures = table(options.contacts, options.faster, options.cases)
    section = (
        f"## {options.contacts:,} HubSpot contacts by list and search\n\n{figures}\n\n"
        f"All windows and the minute that the index may lag behind were {options.faster:g} times shorter, and seconds "
        f"are told as if they weren't. {stands_on(['apache-airflow', 'msgspec', 'pyarrow', 'requests'])}. Run it with "
        "`make bench-doors`."
    )
    sys.stdout.write(section + "\n")
    if options.write:
        write_section(options.write, section, MARKS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
