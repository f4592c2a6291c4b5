from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.leads.model.properties import merge_objects


@pytest.mark.parametrize(
    ("objects", "merged"),
    [
        ([{"a": 1}, {"a": 2, "b": 3}], {"a": 1, "b": 3}),
        # Two funnels, each with a question of its own.
        (
            [{"properties": {"budget": "10"}, "meta": {"id": 1}}, {"properties": {"colour": "red", "budget": "5"}}],
            {"properties": {"budget": "10", "colour": "red"}, "meta": {"id": 1}},
        ),
        ([{"o": {"p": {"a": 1}}}, {"o": {"p": {"b": 2}}}, {"o": {"c": 3}}], {"o": {"p": {"a": 1, "b": 2}, "c": 3}}),
        # What is empty is absent.
        (
            [{"o": {"a": "", "b": None, "c": []}}, {"o": {"a": "x", "b": 0, "c": {}}}],
            {"o": {"a": "x", "b": 0, "c": []}},
        ),
        # An answer with its title is one value, and lists are not mixed.
        ([{"q": {"value": "x"}}, {"q": {"value": "y", "title": "T"}}], {"q": {"value": "x"}}),
        ([{"l": ["a"]}, {"l": ["b"]}], {"l": ["a"]}),
        ([{"o": "text"}, {"o": {"a": 1}}], {"o": "text"}),
        ([{"email_aliases": ["a"]}, {"email_aliases": ["b", "a"]}], {"email_aliases": ["a", "b"]}),
        ([], {}),
    ],
)
def test_properties_are_merged_key_by_key_at_depth(objects: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    """Row 9."""
    before = copy.deepcopy(objects)
    assert merge_objects(objects) == merged
    assert objects == before


TREES = st.recursive(
    st.integers() | st.text(max_size=2) | st.none(),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), TREES, max_size=3)


@given(st.lists(OBJECTS, max_size=4))
def test_merging_twice_changes_nothing_and_the_best_is_whole(objects: list[dict[str, Any]]) -> None:
    merged = merge_objects(objects)
    assert merge_objects([merged, *objects]) == merged
    for best in objects[:1]:
        for key, value in best.items():
            assert merged[key] == value or isinstance(value, dict) or value in (None, "")
