"""How well quotas are used and kept: reading and writing at a limit, alone and beside others; part of ``bench_wire``.

Run as a program it is one of the processes that share a key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench_crm import PAGE, Settings, running, stats

ROOT: Final = Path(__file__).resolve().parents[2]
LATENCY: Final = 0.05
# HubSpot's. The other two allow as many in a minute, which is easier to feed and takes longer to measure.
LIMIT: Final = (100, 10.0)
_PAGES: Final = 500
# (CRM, seconds until an answer, pages, how many are read at a time): several are where the list fits into the quota.
_READS: Final = (
    ("hubspot", 0.0, _PAGES, 1),
    ("hubspot", LATENCY, _PAGES, 1),
    ("persistiq", LATENCY, _PAGES, 1),
    ("perspective", LATENCY, _PAGES, 1),
    ("perspective", LATENCY, 80, 4),
)
_PROCESSES: Final = 4
_SHARED_SECONDS: Final = 45.0
_KEY: Final = "key-of-the-benchmark"


def _connected(crm: str, origin: str, quota: tuple[int, float] = LIMIT) -> Any:
    """Define the connection to a CRM and return its hook."""
    from airflow_providers_leads.hooks.base import get_leads_hook

    extra = {"rate_limit": quota[0], "rate_limit_period": quota[1], "funnel_ids": ["f"]}
    value = {"conn_type": crm, "host": origin, "password": _KEY, "extra": extra}
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(value)
    return get_leads_hook("bench")


def _least_seconds(requests: int, each: float = 0.0) -> float:
    # A window may be spent at once, so the last request leaves after all full windows before its own; and where one
    # answer leads to the next request, after the answers of its own window.
    windows, rest = divmod(requests - 1, LIMIT[0])
    return windows * LIMIT[1] + rest * each


def _row(what: str, requests: int, least: int, seconds: float, refused: int, *, each: float = 0.0) -> str:
    ideal = _least_seconds(requests, each)
    return (
        f"| {what} | {requests:,} | {requests / least:.2f} | {refused} | {seconds:.1f} "
        f"| {ideal:.1f} | {ideal / seconds:.0%} |"
    )


_HEAD: Final = (
    "| | requests | × least possible | refused (429) | seconds | limit and latency dictate | used of the limit |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)


def pace() -> str:
    """Return the figures of reading at a limit as Markdown."""
    lines = [_HEAD]
    for crm, latency, pages, at_a_time in _READS:
        settings = Settings(rows=PAGE * pages, latency=latency, limit=LIMIT[0], period=LIMIT[1])
        with running(settings) as origin:
            count = sum(1 for _ in _connected(crm, origin).iter_leads())
            told = stats(origin)
        assert count == settings.rows
        what = f"{crm} alone, {count:,} leads, {latency * 1000:.0f} ms per answer"
        refused = sum(told["refused"].values())
        lines.append(_row(what, told["answered"], pages, told["seconds"], refused, each=latency / at_a_time))
        sys.stderr.write(lines[-1] + "\n")
    shared = [
        "| | requests | refused (429) | share of the limit used | least and most busy process |",
        "|---|---:|---:|---:|---:|",
        side_by_side("four processes of one machine, one key", together=True),
        side_by_side("four machines, one key", together=False),
    ]
    return "\n".join([*lines, "", *shared])


def side_by_side(what: str, *, together: bool) -> str:
    """Let processes spend one key for some seconds and return how that went as a row of a Markdown table.

    :param what: begins the row
    :param together: they share a folder, as processes of one machine do
    """
    settings = Settings(rows=100_000, limit=LIMIT[0], period=LIMIT[1])
    told = spent_together(settings, "hubspot", [0] * _PROCESSES if together else range(_PROCESSES), _SHARED_SECONDS)
    least, most = told["shares"]
    line = (
        f"| {what} | {sum(told['asked'].values()):,} | {told['refusals']} ({told['part']:.1%}) | {told['used']:.0%} "
        f"| {least} and {most} |"
    )
    sys.stderr.write(line + "\n")
    return line


def spent_together(
    settings: Settings, crm: str, machines: Sequence[int], seconds: float, store_url: str = ""
) -> dict[str, Any]:
    """Let processes list the leads of one account for some seconds.

    :param settings: of the server
    :param crm: whose client is used
    :param machines: of each process its machine: those of one share a folder
    :param seconds: for so long
    :param store_url: of the Redis that machines share; empty: none
    :return: the server's figures; ``shares``: pages of the least and the most busy process; ``refusals``, and which
        ``part`` of all requests they are
    """
    import tempfile

    with running(settings) as origin, tempfile.TemporaryDirectory() as folder:
        order = json.dumps(
            {"crm": crm, "origin": origin, "seconds": seconds, "quota": [settings.limit, settings.period]}
        )
        workers = []
        for number, machine in enumerate(machines):
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "AIRFLOW__LEADS__USER_AGENT_SUFFIX": f"worker-{number}",
                "AIRFLOW__LEADS__RATE_LIMIT_FOLDER": str(Path(folder) / str(machine)),
                "AIRFLOW__LEADS__LIMITER_URL": store_url,
            }
            workers.append(
                subprocess.Popen(
                    [sys.executable, __file__, order], env=environment, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
        for worker in workers:
            assert worker.stdout is not None
            while worker.stdout.readline().strip() != "ready":
                assert worker.poll() is None, "a worker ended early"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            worker.communicate()
        told = stats(origin)
    asked, refused = told["asked"], told["refused"]
    answered = [asked[who] - refused.get(who, 0) for who in asked]
    refusals = sum(refused.values())
    return {
        **told, "shares": (min(answered), max(answered)), "refusals": refusals, "part": refusals / sum(asked.values()),
    }  # fmt: skip


def work(crm: str, origin: str, seconds: float, quota: tuple[int, float]) -> None:
    """Be one of the processes: list pages for some seconds once told to."""
    hook = _connected(crm, origin, quota)
    # What is loaded and looked for with the first request.
    for limiter in hook.client.limiters.values():
        limiter.left()
    sys.stdout.write("\nready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    until = time.monotonic() + seconds
    for number, _ in enumerate(hook.iter_leads()):
        if number % PAGE == 0 and time.monotonic() > until:
            # Threads that read ahead would go on.
            os._exit(0)


def writing(folder: Path, upserts: int) -> str:
    """Return the figures of applying a plan as Markdown.

    :param folder: for plan and results
    :param upserts: contacts to write to HubSpot; PersistIQ gets a tenth
    """
    from bench_writes import apply_creates

    lines = [_HEAD]
    for crm, rows, size in (("hubspot", upserts, 100), ("persistiq", upserts // 10, 10)):
        settings = Settings(rows=PAGE, latency=LATENCY, limit=LIMIT[0], period=LIMIT[1])
        with running(settings) as origin:
            apply_creates(_connected(crm, origin), folder / crm, rows)
            told = stats(origin)
        least = -(-rows // size)
        what = f"{crm}, {rows:,} leads created, {LATENCY * 1000:.0f} ms per answer"
        lines.append(_row(what, told["answered"], least, told["seconds"], sum(told["refused"].values())))
        sys.stderr.write(lines[-1] + "\n")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Run as one of the processes that share a key."""
    work(**json.loads(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
