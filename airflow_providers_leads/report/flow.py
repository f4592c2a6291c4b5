"""The way of leads as a flow chart: where they came from, whom they are, and how they ended in each destination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

_HEIGHT: Final = 300.0
"""Pixels of the column with most leads, gaps aside."""
_SLOT: Final = 19.0
"""Pixels that a label takes."""
_GAP: Final = 5.0
_NODE: Final = 9.0
_LETTER: Final = 6.6
"""Pixels of a letter, about."""


@dataclass(slots=True)
class Node:
    """A bar of the chart.

    :param kind: CSS class of its colour
    :param heading: stands above it
    """

    label: str
    number: int
    kind: str
    heading: str = ""
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What is drawn.

    :param sources: name and how many of its leads became each of ``middle``
    :param middle: label, number and kind; the first one goes on to the destinations
    :param destinations: name and the outcomes: label, number, kind
    """

    sources: Sequence[tuple[str, Sequence[int]]]
    middle: Sequence[tuple[str, int, str]]
    destinations: Sequence[tuple[str, Sequence[tuple[str, int, str]]]] = field(default_factory=tuple)

    def described(self) -> str:
        """Return the chart in words."""
        came = "; ".join(f"{name} {sum(parts)}" for name, parts in self.sources)
        became = ", ".join(f"{number} {label}" for label, number, _ in self.middle)
        ended = "; ".join(
            f"{name}: " + ", ".join(f"{number} {label}" for label, number, _ in outcomes)
            for name, outcomes in self.destinations
        )
        return f"Leads read: {came}. They became: {became}. Outcomes: {ended or 'none'}."


def flow_svg(flow: Flow, width: int) -> Markup:
    """Return the chart as SVG, whose colours are CSS classes.

    :param flow: what is drawn
    :param width: in pixels; text keeps its size, so draw one chart for each kind of screen
    """
    sources = [Node(name, sum(parts), "source") for name, parts in flow.sources]
    middle = [Node(*part) for part in flow.middle]
    ends: list[Node] = []
    for name, outcomes in flow.destinations:
        ends += [Node(*part, heading="" if place else name) for place, part in enumerate(outcomes)]
    columns = (sources, middle, ends)
    most = max((sum(node.number for node in column) for column in columns), default=0)
    scale = _HEIGHT / max(most, 1)
    total = max(_place(column, x, scale) for column, x in zip(columns, _columns(width, bool(ends)), strict=True))
    for column in columns:
        _centre(column, total)

    shapes = [*_incoming(flow, sources, middle, scale), *_outgoing(flow, middle, ends, scale)]
    shapes += [_bar(node) for column in columns for node in column]
    room = int((width * 0.36) / _LETTER)
    shapes += [_text(node, node.x + _NODE + 5, "start", room) for node in (*sources, *middle)]
    shapes += [_text(node, node.x - 5, "end", room) for node in ends]
    return Markup(
        '<svg class="flow" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{said}">{shapes}</svg>'
    ).format(w=width, h=round(total) + 2, said=flow.described(), shapes=Markup("").join(shapes))


def _columns(width: int, ends: bool) -> tuple[float, float, float]:
    middle = width * (0.37 if ends else 0.7)
    return 0.0, round(middle), width - _NODE


def _place(column: Iterable[Node], x: float, scale: float) -> float:
    """Put the bars of a column below each other, each with the room that its label takes, and return the height."""
    y = 0.0
    for node in column:
        if node.heading:
            y += _SLOT + (2 * _GAP if y else 0)
        node.x, node.height = x, max(node.number * scale, 1.5)
        slot = max(node.height, _SLOT)
        node.y = y + (slot - node.height) / 2
        y += slot + _GAP
    return max(y - _GAP, 0.0)


def _centre(column: Sequence[Node], total: float) -> None:
    if column:
        top = min(node.y for node in column) if not column[0].heading else 0.0
        bottom = max(node.y + max(node.height, _SLOT / 2) for node in column)
        for node in column:
            node.y += max((total - bottom - top) / 2, 0.0)


def _incoming(flow: Flow, sources: Sequence[Node], middle: Sequence[Node], scale: float) -> Iterable[Markup]:
    filled = [node.y for node in middle]
    for (_, parts), source in zip(flow.sources, sources, strict=True):
        start = source.y
        for place, number in enumerate(parts):
            if number:
                target = middle[place]
                height = number * scale
                said = f"{source.label} → {target.label}: {number:,}"
                yield _ribbon(source.x + _NODE, start, target.x, filled[place], height, target.kind, said)
                start += height
                filled[place] += height


def _outgoing(flow: Flow, middle: Sequence[Node], ends: Sequence[Node], scale: float) -> Iterable[Markup]:
    rest = iter(ends)
    for name, outcomes in flow.destinations:
        # Every destination is given all people, so its ribbons begin at the top again.
        start = middle[0].y
        for label, number, kind in outcomes:
            end = next(rest)
            said = f"{name}, {label}: {number:,}"
            yield _ribbon(middle[0].x + _NODE, start, end.x, end.y, number * scale, kind, said)
            start += number * scale


def _ribbon(x0: float, y0: float, x1: float, y1: float, height: float, kind: str, said: str) -> Markup:
    bend = (x0 + x1) / 2
    height = max(height, 1.0)
    path = (
        f"M{x0:.1f} {y0:.1f}C{bend:.1f} {y0:.1f} {bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        f"V{y1 + height:.1f}C{bend:.1f} {y1 + height:.1f} {bend:.1f} {y0 + height:.1f} {x0:.1f} {y0 + height:.1f}Z"
    )
    return Markup('<path class="ribbon f-{}" d="{}"><title>{}</title></path>').format(kind, path, said)


def _bar(node: Node) -> Markup:
    return Markup('<rect class="f-{}" x="{:.1f}" y="{:.1f}" width="{}" height="{:.1f}" rx="1.5"/>').format(
        node.kind, node.x, node.y, _NODE, node.height
    )


def _text(node: Node, x: float, anchor: str, room: int) -> Markup:
    """Return a bar's label and number, with the heading above when it has one."""
    y = node.y + node.height / 2 + 4
    number = f"{node.number:,}"
    label = shortened(node.label, room - len(number) - 1)
    lines = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}"><tspan class="n">{}</tspan> {}</text>').format(
        x, y, anchor, number, label
    )
    if node.heading:
        top = min(node.y, node.y + node.height / 2 - _SLOT / 2) - 6
        lines += Markup('<text class="h" x="{:.1f}" y="{:.1f}" text-anchor="end"><title>{}</title>{}</text>').format(
            node.x + _NODE, top, node.heading, shortened(node.heading, room)
        )
    return lines


def shortened(words: str, room: int) -> str:
    """Return a text of so many letters at most."""
    return words if len(words) <= max(room, 4) else f"{words[: max(room, 4) - 1]}…"
