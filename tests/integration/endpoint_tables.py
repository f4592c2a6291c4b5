"""`docs/endpoints.md` as data, and the names by which its endpoints and the stand-ins' routes are compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "endpoints.md"
COLUMNS = ["endpoint", "hook method", "operator", "request test", "over HTTP"]
NOT_COVERED = "Not covered"

_CODE = re.compile(r"`([^`]+)`")
_ENDPOINT = re.compile(r"(GET|POST|PUT|PATCH|DELETE) /\S+")
# What the page says about HubSpot's older forms, as the routes of the stand-in spell them.
_DATED = (
    (r"^/crm/v[34]/objects/", "/crm/objects/2026-03/"),
    (r"^/crm/v[34]/(associations|properties|owners|lists)\b", r"/crm/\1/2026-03"),
    (r"^/(oauth|account-info)/v[13]/", r"/\1/2026-03/"),
    (r"/\{version\}", "/2026-03"),
    (r"/\{(type|from)\}", "/contacts"),
)


@dataclass(frozen=True)
class Row:
    """One line of a table; names are those in code spans."""

    crm: str
    endpoint: str
    methods: list[str]
    operators: list[str]
    request_tests: list[str]
    http_tests: list[str]

    def __str__(self) -> str:
        return self.endpoint


def same(endpoint: str) -> str:
    """Return the one spelling of `METHOD /path`: HubSpot's dated form, parameters without names."""
    method, path = endpoint.split(" ", 1)
    for old, new in _DATED:
        path = re.sub(old, new, path)
    return f"{method} {re.sub(r'{[^}]*}', '{}', path).rstrip('/')}"


def sections() -> dict[str, list[str]]:
    """Return the lines below each second-level heading."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            found[line[3:].strip()] = []
        elif found:
            found[next(reversed(found))].append(line)
    return found


def tables(section: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a section, cell by cell, the header first."""
    for is_table, lines in groupby(sections()[section], lambda line: line.startswith("|")):
        if is_table:
            head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
            assert all(len(line) == len(head) for line in body), f"{section}: {head}"
            yield [head, *body]


def rows() -> Iterator[Row]:
    """Yield the lines of the tables of endpoints."""
    for section in sections():
        for head, *body in tables(section):
            if head != COLUMNS:
                continue
            for line in body:
                endpoint, *rest = (_CODE.findall(cell) for cell in line)
                assert len(endpoint) == 1 and _ENDPOINT.fullmatch(endpoint[0]), f"{line[0]} is no endpoint"
                yield Row(section.lower(), endpoint[0], *rest)


def older_forms() -> Iterator[tuple[str, str]]:
    """Yield what the page says of HubSpot's paths: dated, and with `api_version` v3."""
    for head, *body in tables("HubSpot"):
        if head != COLUMNS:
            yield from ((dated.strip("`"), older.strip("`")) for dated, older in body)


def left_out() -> list[str]:
    """Return the endpoints under "Not covered"."""
    spans = (span for line in sections()[NOT_COVERED] for span in _CODE.findall(line))
    return [span for span in spans if _ENDPOINT.fullmatch(span)]


def named_tests() -> list[str]:
    """Return every `file.py::function` of the page."""
    return [span for span in _CODE.findall(PAGE.read_text()) if "::" in span]


def source_of(name: str) -> str | None:
    """Return the text of the file of a `file.py::function`, `None` when either doesn't exist."""
    file, _, function = name.partition("::")
    paths = list(TESTS.rglob(file))
    if len(paths) != 1:
        return None
    text = paths[0].read_text()
    return text if re.search(rf"^def {re.escape(function)}\(", text, re.MULTILINE) else None
