"""Turns what ``make test-faults`` found into the table and the figure of docs/reliability.md.

python tests/integration/survival_report.py .faults
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from survival import FAULTS

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reliability.md"
FIGURE: Final = ROOT / "docs" / "images" / "faults.svg"
NAMES: Final = {"hubspot": "HubSpot", "persistiq": "PersistIQ", "perspective": "Perspective"}
BEGIN, END = "<!-- test-faults: begin -->", "<!-- test-faults: end -->"

LEFT, WIDTH, ROW, GAP = 190, 700, 15, 52
# What became of a run → its class in the figure.
HEALED, RETRIED, WRONG = "healed", "retried", "wrong"
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a }
.healed { fill: #54aeff } .retried { fill: #0a8a5f } .wrong { fill: #d1242f } .missing { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .healed { fill: #388bfd } .retried { fill: #2ea870 } .wrong { fill: #f85149 } .missing { fill: #3d444d }
}
"""


def read(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what was found by CRM and fault."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text())
        if "fault" in told:
            found.setdefault(told["crm"], {})[told["fault"]] = told
    return found


def verdict(run: dict[str, Any]) -> str:
    if run["problems"] or run["lost"] or run["duplicated"]:
        return WRONG
    return HEALED if run["tries"] == 1 else RETRIED


def figure(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return an SVG: per CRM the requests of an upsert along x, the faults along y."""
    parts: list[str] = []
    top = 20
    for crm, name in NAMES.items():
        by_fault = found.get(crm, {})
        requests = max((told["requests"] for told in by_fault.values()), default=0)
        parts.append(f'<text x="0" y="{top}" font-weight="600">{name}: {requests} requests</text>')
        for place, fault in enumerate(FAULTS):
            y = top + 8 + place * ROW
            parts.append(f'<text class="small" x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(fault)}</text>')
            runs = by_fault.get(fault, {}).get("runs", [])
            told = [verdict(run) for run in runs] or ["missing"]
            step = WIDTH / len(told)
            # Many neighbours of one outcome are one rectangle; of few each is seen.
            apart = step > 6
            start = 0
            for _, same in groupby(enumerate(told), key=lambda cell: cell[0] if apart else cell[1]):
                length = len(cells := list(same))
                x, width = LEFT + start * step, length * step - apart
                parts.append(
                    f'<rect class="{cells[0][1]}" x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 2}"/>'
                )
                start += length
        bottom = top + 8 + len(FAULTS) * ROW + 11
        parts.append(f'<text class="small" x="{LEFT}" y="{bottom}">first request</text>')
        parts.append(f'<text class="small" x="{LEFT + WIDTH}" y="{bottom}" text-anchor="end">last</text>')
        top = bottom + GAP - 16
    for x, kind, words in (
        (0, RETRIED, "same end state, after the task was retried"),
        (330, HEALED, "same end state, in the same try"),
        (590, WRONG, "another end state"),
    ):
        parts.append(f'<rect class="{kind}" x="{x}" y="{top - 11}" width="13" height="13"/>')
        parts.append(f'<text x="{x + 20}" y="{top}">{words}</text>')
    label = "Every request of an upsert of 300 people was met by each of eight faults; the outcome of each run."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH} {top + 12}" role="img" '
        f'aria-label="{label}"><title>{label}</title><style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def table(found: dict[str, dict[str, dict[str, Any]]], memory: list[dict[str, Any]]) -> str:
    """Return the table of runs, and the line about memory."""
    lines = [
        "| destination | requests of the upsert | faults | runs | settled in the same try | after a retry | lost | "
        "created twice | other differences |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for crm, name in NAMES.items():
        by_fault = found.get(crm, {})
        runs = [run for told in by_fault.values() for run in told["runs"]]
        kinds = Counter(map(verdict, runs))
        requests = max((told["requests"] for told in by_fault.values()), default=0)
        lost, twice = (sum(run[key] for run in runs) for key in ("lost", "duplicated"))
        lines.append(
            f"| {name} | {requests} | {len(by_fault)} | {len(runs):,} | {kinds[HEALED]:,} | {kinds[RETRIED]:,} | "
            f"{lost} | {twice} | {kinds[WRONG]} |"
        )
    if memory:
        over = max(round(told["peak"] - told["bare"]) for told in memory)
        people = memory[0]["people"]
        lines += [
            "",
            f"Memory of an upsert of {people:,} people into HubSpot: at its peak {over} MB above an interpreter that "
            "has imported Airflow.",
        ]
    return "\n".join(lines)


def main(folder: Path) -> None:
    found = read(folder)
    memory = [json.loads(path.read_text()) for path in sorted(folder.glob("memory *.json"))]
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    FIGURE.write_text(figure(found))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"{PAGE} has no {BEGIN} … {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{table(found, memory)}\n{END}{after}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
