from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.report.flow import Flow, flow_svg, shortened

SVG = "{http://www.w3.org/2000/svg}"
_sizes = st.one_of(st.just(0), st.integers(1, 10), st.integers(1, 2_000_000))
_KINDS = ("created", "updated", "unchanged", "failed")


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    sources = draw(st.lists(st.lists(_sizes, min_size=3, max_size=3), min_size=1, max_size=9))
    middle = [
        (name, sum(s[place] for s in sources), "people") for place, name in enumerate(("people", "merged", "rejected"))
    ]
    ends = draw(st.lists(st.lists(_sizes, min_size=4, max_size=4), max_size=4))
    return Flow(
        [(draw(st.text(max_size=60)), parts) for parts in sources],
        middle,
        [(f"destination {n}", [(k, v, k) for k, v in zip(_KINDS, sizes, strict=True)]) for n, sizes in enumerate(ends)],
    )


@given(flows(), st.sampled_from([330, 640, 1000]))
def test_nothing_leaves_the_chart_or_lies_upon_another_bar(flow: Flow, width: int) -> None:
    # Control characters are no XML, and no browser minds: HTML is what it stands in.
    svg = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", str(flow_svg(flow, width)))
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    height = float(root.attrib["height"])
    columns: dict[float, list[tuple[float, float]]] = {}
    for bar in root.iter(f"{SVG}rect"):
        x, y, h = (float(bar.attrib[name]) for name in ("x", "y", "height"))
        assert 0 <= x <= width - 9
        assert y >= -0.1
        assert y + h <= height + 0.1
        columns.setdefault(x, []).append((y, h))
    for bars in columns.values():
        for (y, h), (below, _) in zip(sorted(bars), sorted(bars)[1:], strict=False):
            assert y + h <= below + 0.1
    # Labels of one column never lie upon each other either.
    lines: dict[tuple[str, str], list[float]] = {}
    for text in root.iter(f"{SVG}text"):
        lines.setdefault((text.attrib["x"], text.attrib["text-anchor"]), []).append(float(text.attrib["y"]))
    for ys in lines.values():
        assert all(b - a > 11 for a, b in zip(sorted(ys), sorted(ys)[1:], strict=False))


def test_names_are_escaped_and_the_chart_is_told_in_words() -> None:
    svg = flow_svg(Flow([('<b>&"', [3])], [("people", 3, "people")], [("h", [("created", 3, "created")])]), 330)
    assert "<b>" not in svg
    assert "Outcomes: h: 3 created" in svg


@pytest.mark.parametrize(("words", "room", "made"), [("abc", 3, "abc"), ("abcdef", 5, "abcd…"), ("abcdef", 0, "abc…")])
def test_long_names_are_shortened(words: str, room: int, made: str) -> None:
    assert shortened(words, room) == made
