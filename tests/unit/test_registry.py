"""What the registry is told exists."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml

from airflow_providers_leads.get_provider_info import get_provider_info

LISTED = yaml.safe_load((Path(__file__).resolve().parents[2] / ".airflow-registry.yaml").read_text())
KINDS = ("hooks", "operators", "sensors", "triggers")
MODULES = [entry["python-modules"][0] for kind in KINDS for entry in get_provider_info()[kind]]


@pytest.mark.parametrize("name", [entry["module"] for kind in KINDS for entry in LISTED[kind]])
def test_every_listed_class_exists_and_says_what_it_is_for(name: str) -> None:
    assert resolve_name(name).__doc__


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_the_metadata_exists(name: str) -> None:
    assert resolve_name(name).__doc__
