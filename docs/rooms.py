"""The picture of the rooms, drawn from the code's own imports when the documentation is made."""

from __future__ import annotations

import tomllib
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "airflow_providers_leads"
WIDTH, HEIGHT, ROW, MARGIN = 136, 46, 92, 20  # of a box; between two rows; around all, in pixels
# No rooms: the package's own files that only start something or rename it.
LEFT_OUT = {"__main__", "_moved", "py.typed"}


def rooms() -> list[str]:
    """Return the rooms' names, from import-linter's contract about them, so that none is forgotten."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [room.strip() for layer in layers for room in layer.split("|") if room.strip() not in LEFT_OUT]


def imports(names: list[str]) -> dict[str, set[str]]:
    """Return which rooms each room imports, those left out that it reaches through another one anyway."""
    graph = grimp.build_graph(PACKAGE)
    inside = {room: graph.find_descendants(f"{PACKAGE}.{room}") | {f"{PACKAGE}.{room}"} for room in names}
    room_of = {module: room for room, modules in inside.items() for module in modules}
    direct = {
        room: {
            room_of[target]
            for module in modules
            for target in graph.find_modules_directly_imported_by(module)
            if room_of.get(target, room) != room
        }
        for room, modules in inside.items()
    }

    def reached(room: str) -> set[str]:
        return direct[room] | {further for target in direct[room] for further in reached(target)}

    return {room: direct[room] - {far for near in direct[room] for far in reached(near)} for room in names}


def rows(targets: dict[str, set[str]]) -> list[list[str]]:
    """Return the rooms from those that nobody imports down to those that import none, each below all its importers."""
    importers = {room: {other for other, below in targets.items() if room in below} for room in targets}
    row_of: dict[str, int] = {}
    for room in TopologicalSorter(importers).static_order():
        row_of[room] = 1 + max((row_of[other] for other in importers[room]), default=-1)
    return [[room for room in targets if row_of[room] == number] for number in range(max(row_of.values()) + 1)]


def size(room: str) -> str:
    """Return how much there is of a room: files and lines of Python."""
    path = ROOT / PACKAGE / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    return f"{len(files)} files, {lines:,} lines" if len(files) > 1 else f"{lines:,} lines"


def draw() -> str:
    """Return the picture as SVG in the colours of the page around it."""
    targets_of = imports(rooms())
    levels = rows(targets_of)
    across = max(map(len, levels)) * (WIDTH + MARGIN) + MARGIN
    places = {
        room: (
            (across - len(row) * (WIDTH + MARGIN) + MARGIN) / 2 + column * (WIDTH + MARGIN),
            MARGIN + number * ROW,
        )
        for number, row in enumerate(levels)
        for column, room in enumerate(row)
    }
    down = MARGIN * 2 + (len(levels) - 1) * ROW + HEIGHT
    lines, boxes = [], []
    for room, targets in targets_of.items():
        left, top = places[room]
        start = (left + WIDTH / 2, top + HEIGHT)
        for target in sorted(targets):
            end = (places[target][0] + WIDTH / 2, places[target][1] - 5)
            # A line over several rows swings out, so that it passes beside the boxes between.
            rows_between = (end[1] - start[1]) / ROW
            swing = (WIDTH * 0.75 if rows_between > 1 else 0) * (1 if start[0] >= across / 2 else -1)
            lines.append(
                f'<path d="M{start[0]:.0f} {start[1]:.0f} C{start[0] + swing:.0f} {start[1] + ROW / 2:.0f} '
                f'{end[0] + swing:.0f} {end[1] - ROW / 2:.0f} {end[0]:.0f} {end[1]:.0f}" marker-end="url(#arrow)"/>'
            )
    for room, (left, top) in places.items():
        boxes.append(
            f'<g transform="translate({left:.0f} {top:.0f})"><rect width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{WIDTH / 2}" y="20" font-weight="600">{escape(room)}</text>'
            f'<text x="{WIDTH / 2}" y="36" font-size="10">{size(room)}</text></g>'
        )
    return (
        f'<svg viewBox="0 0 {across:.0f} {down:.0f}" role="img" '
        'aria-label="The rooms of the package, and which imports which" '
        'style="max-width:100%;height:auto" font-family="inherit" font-size="13" text-anchor="middle">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="var(--color-foreground-muted)"/></marker></defs>'
        f'<g fill="none" stroke="var(--color-foreground-muted)">{"".join(lines)}</g>'
        f'<g fill="var(--color-foreground-primary)"><style>rect{{fill:var(--color-background-secondary);'
        f"stroke:var(--color-foreground-border)}}</style>{''.join(boxes)}</g></svg>\n"
    )
