"""What somebody may have meant."""

from __future__ import annotations

import pytest

from airflow_providers_leads.leads.model.nearest import nearest


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("hubspt", ["persistiq", "hubspot"], "; did you mean 'hubspot'?"),
        ("First_Name", ["first_name"], "; did you mean 'first_name'?"),
        ("nothing of it", ["first_name"], ""),
        ("x", [], ""),
        ("Trade Fair", {"Trade fair": "fnl_1", "fnl_1": "fnl_1"}, "; did you mean 'fnl_1'?"),
        ("fnl_2", {"Trade fair": "fnl_1", "fnl_1": "fnl_1"}, "; did you mean 'fnl_1'?"),
    ],
)
def test_the_nearest_is_named(name: str, known: list[str] | dict[str, str], end: str) -> None:
    assert nearest(name, known) == end
