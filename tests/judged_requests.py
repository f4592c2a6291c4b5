"""The fixture that judges requests, for the conftest of each folder whose tests send some."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vendor_requests import all_judged
from vendor_tables import TABLE


@pytest.fixture(autouse=True)
def requests_are_known(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every request to the vendors' references, but those that a test invents."""
    if request.node.get_closest_marker("invented_requests"):
        yield
        return
    with all_judged(TABLE):
        yield
