"""Charts as SVG, drawn by Vega-Lite without a browser or a network; colours are the page's CSS variables.

https://vega.github.io/vega-lite/docs/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

from markupsafe import Markup

Spec = dict[str, Any]

WIDTHS: Final = {"small": 300, "large": 470}
"""CSS class → pixels of a chart with its labels. Text keeps its size, so a chart is drawn for each width, and the page
shows the one that fits: the small one is as wide as a phone."""

_INK, _MUTED, _LINE = "var(--ink)", "var(--muted)", "var(--line)"
_CONFIG: Final[Spec] = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False, "ticks": False, "grid": False, "labelColor": _INK, "labelFontSize": 12, "labelPadding": 6,
        "gridColor": _LINE, "titleColor": _MUTED, "titleFontWeight": "normal", "title": None,
    },
    "legend": {"disable": True},
}  # fmt: skip
_LABELS: Final = 104
"""Pixels of the names beside bars."""
_LETTER: Final = 7.0
"""Pixels of a letter behind a bar, about."""


def available() -> bool:
    """Tell whether charts can be drawn: the extra ``report`` may not be installed."""
    return find_spec("vl_convert") is not None


def draw(spec: Spec, described: str, beside: float, widths: Sequence[str]) -> Markup | None:
    """Return a chart as SVG in each width, ``None`` when charts can't be drawn.

    :param spec: Vega-Lite without its width
    :param described: what it shows, for those who can't see it
    :param beside: pixels that stand beside the plot
    :param widths: keys of :data:`WIDTHS`; with one of them alone the chart is shown in any place
    """
    if not available():
        return None
    import vl_convert

    drawn = []
    for kind in widths:
        whole = {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "background": None, "padding": 0,
            "config": _CONFIG, "width": WIDTHS[kind] - beside, **spec,
        }  # fmt: skip
        # Data stand in the spec; nothing may be fetched.
        svg = vl_convert.vegalite_to_svg(whole, allowed_base_urls=[])
        drawn.append(
            Markup('<div class="chart {}" role="img" aria-label="{}">{}</div>').format(
                kind if len(widths) > 1 else "only", described, Markup(svg)
            )
        )
    return Markup("").join(drawn)


def bars(
    rows: Sequence[tuple[str, Mapping[str, float]]],
    colors: Mapping[str, str],
    described: str,
    *,
    told: Sequence[str] | None = None,
    most: float | None = None,
    widths: Sequence[str] = ("small",),
) -> Markup | None:
    """Return horizontal bars, one per row, stacked of parts, with the number behind each.

    :param rows: name, and the size of each part
    :param colors: part → CSS variable, in the order in which the parts stand
    :param described: see :func:`draw`
    :param told: the text behind each bar; default its size
    :param most: size of a bar of full width; default the largest bar
    :param widths: see :func:`draw`
    """
    if not rows:
        return None
    sums = [sum(parts.values()) for _, parts in rows]
    names = told or [f"{size:,.0f}" for size in sums]
    # By position, because two rows may have one name.
    parts = [
        {"row": place, "part": part, "order": order, "size": sizes.get(part, 0)}
        for place, (_, sizes) in enumerate(rows)
        for order, part in enumerate(colors)
    ]
    ends = [
        {"row": place, "size": size, "told": text} for place, (size, text) in enumerate(zip(sums, names, strict=True))
    ]
    labels = [{"row": place, "label": name} for place, (name, _) in enumerate(rows)]
    y = {"field": "row", "type": "ordinal", "axis": None, "sort": None}
    x = {"field": "size", "type": "quantitative", "axis": None, "scale": {"domain": [0, max(most or max(sums), 1e-9)]}}
    text = {"type": "text", "align": "left", "fontSize": 12}
    spec: Spec = {
        "height": {"step": 22},
        "layer": [
            {
                "data": {"values": parts},
                "mark": {"type": "bar", "height": 13},
                "encoding": {
                    "y": y,
                    "x": {**x, "stack": "zero"},
                    "order": {"field": "order", "type": "quantitative"},
                    "color": {
                        "field": "part",
                        "type": "nominal",
                        "scale": {"domain": list(colors), "range": [f"var(--{name})" for name in colors.values()]},
                    },
                },
            },
            {
                "data": {"values": ends},
                "mark": {**text, "dx": 5, "color": _INK, "fontWeight": 600},
                "encoding": {"y": y, "x": x, "text": {"field": "told"}},
            },
            {
                "data": {"values": labels},
                "mark": {**text, "color": _INK, "limit": _LABELS - 6},
                "encoding": {"y": y, "x": {"value": -_LABELS}, "text": {"field": "label"}},
            },
        ],
    }
    return draw(spec, described, _LABELS + 8 + _LETTER * max(map(len, names)), widths)


def line(
    points: Sequence[tuple[Any, float]],
    color: str,
    described: str,
    *,
    height: int = 90,
    area: bool = False,
    dots: bool = True,
    widths: Sequence[str] = ("small",),
) -> Markup | None:
    """Return numbers over time; the last one is told.

    :param points: ISO time or date, and the number
    :param color: CSS variable
    :param described: see :func:`draw`
    :param height: of the plot, in pixels
    :param area: true fills what is below the line
    :param dots: true marks the points, unless there are many
    :param widths: see :func:`draw`
    """
    if not points:
        return None
    values = [{"at": at, "number": number} for at, number in points]
    x = {
        "field": "at",
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {"labelColor": _MUTED, "labelFontSize": 11, "tickCount": 3, "labelFlush": True, "labelOverlap": True},
    }
    y = {
        "field": "number",
        "type": "quantitative",
        "scale": {"zero": True, "nice": True},
        "axis": {"grid": True, "tickCount": 3, "labelColor": _MUTED, "labelFontSize": 11, "format": "~s"},
    }
    mark: Spec = {"type": "line", "color": f"var(--{color})", "strokeWidth": 2}
    if dots and len(values) <= 40:
        mark["point"] = {"color": f"var(--{color})", "size": 28, "filled": True}
    layer: list[Spec] = [{"data": {"values": values}, "mark": mark, "encoding": {"x": x, "y": y}}]
    if area:
        fill = {"type": "area", "color": f"var(--{color})", "opacity": 0.18}
        layer.insert(0, {"data": {"values": values}, "mark": fill, "encoding": {"x": x, "y": y}})
    return draw({"height": height, "layer": layer}, described, 44, widths)


def squares(cells: Sequence[tuple[str, int, float]], color: str, described: str) -> Markup | None:
    """Return a day × hour grid whose squares are the stronger the larger the number.

    :param cells: row, hour, number; a row is named as the API names the day, which doesn't say what its numbers mean
    :param color: CSS variable
    :param described: see :func:`draw`
    """
    if not cells:
        return None
    rows = list(dict.fromkeys(row for row, *_ in cells))
    most = max(size for *_, size in cells) or 1
    values = [{"row": row, "hour": hour, "strength": 0.05 + 0.95 * size / most} for row, hour, size in cells]
    quiet = {"labelColor": _MUTED, "labelFontSize": 11}
    spec: Spec = {
        "height": len(rows) * 16,
        "data": {"values": values},
        "mark": {"type": "rect", "color": f"var(--{color})"},
        "encoding": {
            "x": {
                "field": "hour", "type": "ordinal", "scale": {"paddingInner": 0.1},
                "axis": {**quiet, "values": [0, 6, 12, 18], "labelAngle": 0, "labelExpr": "datum.label + ' h'"},
            },
            "y": {
                "field": "row", "type": "ordinal", "sort": rows, "scale": {"paddingInner": 0.14},
                "axis": {**quiet, "labelExpr": "'day ' + datum.label"},
            },
            "opacity": {"field": "strength", "type": "quantitative", "scale": None},
        },
    }  # fmt: skip
    return draw(spec, described, 48, ("small",))
