"""Judges each request that is sent against a table of what the three APIs take: method, path, query, body, limits.

The table is our own (`vendor_tables.py`), made from the vendors' references and files. A request that it doesn't know
is a fault of the package, whatever a stand-in answers to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from airflow_providers_leads.http import client

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, ``None`` when nothing is."""


def text(pattern: str = r"(?s).*") -> Check:
    """A text that matches a pattern as a whole."""
    found = re.compile(pattern)
    return lambda value: None if isinstance(value, str) and found.fullmatch(value) else f"no text like {pattern}"


def one_of(*values: str) -> Check:
    """One of some texts."""
    return lambda value: None if isinstance(value, str) and value in values else f"none of {values}"


def number(least: float = -(2**63), most: float = 2**63) -> Check:
    """A number, in JSON or in a query."""

    def check(value: Any) -> str | None:
        digits = isinstance(value, str) and re.fullmatch(r"-?\d+", value)
        right = digits or (isinstance(value, (int, float)) and not isinstance(value, bool))
        return None if right and least <= float(value) <= most else f"no number from {least} to {most}"

    return check


def flag(value: Any) -> str | None:
    """A JSON boolean."""
    return None if isinstance(value, bool) else "no boolean"


def anything(value: Any) -> str | None:
    """Any value but null, which no vendor documents in a request."""
    return "null" if value is None else None


def each(check: Check, most: int, least: int = 0) -> Check:
    """A list."""

    def checked(value: Any) -> str | None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            return f"no list of {least} to {most}"
        return next((f"[{i}]: {wrong}" for i, one in enumerate(value) if (wrong := check(one))), None)

    return checked


def each_value(check: Check) -> Check:
    """A mapping of any names."""

    def checked(value: Any) -> str | None:
        if not isinstance(value, dict):
            return "no object"
        return next((f".{name}: {wrong}" for name, one in value.items() if (wrong := check(one))), None)

    return checked


def objects(required: Mapping[str, Check] | None = None, **optional: Check) -> Check:
    """An object with these names and no other."""
    needed = dict(required or {})

    def checked(value: Any) -> str | None:
        if not isinstance(value, dict):
            return "no object"
        if lacking := sorted(needed.keys() - value.keys()):
            return f"lacks {lacking}"
        known = {**needed, **optional}
        if strange := sorted(value.keys() - known.keys()):
            return f"has {strange}"
        return next((f".{name}: {wrong}" for name, one in value.items() if (wrong := known[name](one))), None)

    return checked


def both(*checks: Check) -> Check:
    """Everything that several checks ask for."""
    return lambda value: next((wrong for check in checks if (wrong := check(value))), None)


@dataclass(frozen=True)
class Endpoint:
    """A call that an API takes.

    :param method: HTTP method
    :param path: pattern of the whole path, percent signs decoded per segment
    :param query: name → check of each value; no other name may be there
    :param body: of a JSON body; ``None``: there must be none
    :param form: of a form body, as a mapping of texts
    :param needed: names of the query that must be there
    """

    method: str
    path: str
    query: Mapping[str, Check] = field(default_factory=dict)
    body: Check | None = None
    form: Check | None = None
    needed: frozenset[str] = frozenset()

    def problem(self, query: list[tuple[str, str]], body: bytes, kind: str) -> str | None:
        """Return what is wrong with a request to it."""
        for name, value in query:
            if name not in self.query:
                return f"query {name!r} is not known"
            if wrong := self.query[name](value):
                return f"query {name!r}: {wrong}"
        names = [name for name, _ in query]
        if len(set(names)) < len(names) or self.needed - set(names):
            return f"query has {names}, needs each of {sorted(self.needed)} once"
        if self.form is not None:
            pairs = dict(parse_qsl(body.decode()))
            return self.form(pairs) if "urlencoded" in kind else "no form"
        if self.body is None:
            return "a body where none is known" if body else None
        if "json" not in kind:
            return f"a body of type {kind!r}"
        wrong = self.body(json.loads(body))
        return f"body {wrong}" if wrong else None


def judged(table: list[Endpoint], method: str, url: str, body: bytes | str | None, kind: str) -> str | None:
    """Return what is wrong with a request, ``None`` when the table knows it."""
    parts = urlsplit(url)
    path = "/".join(unquote(segment).replace("/", "%2F") for segment in parts.path.split("/"))
    taken = [one for one in table if one.method == method and re.fullmatch(one.path, path)]
    if not taken:
        return f"{method} {path}: no such endpoint"
    sent = body.encode() if isinstance(body, str) else body or b""
    query = parse_qsl(parts.query, keep_blank_values=True)
    wrong = [problem for one in taken if (problem := one.problem(query, sent, kind))]
    return f"{method} {path}: {', or '.join(wrong)}" if len(wrong) == len(taken) else None


@contextmanager
def all_judged(table: list[Endpoint]) -> Iterator[None]:
    """Fail at the end of a block in which a request was sent that the table doesn't know."""
    wrong: list[str] = []

    def judging(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        kind = str(request.headers.get("Content-Type", ""))
        found = judged(table, str(request.method), str(request.url), request.body, kind)
        if found and found not in wrong:
            wrong.append(found)
        # Looked up now: tests put stand-ins in its place.
        return requests.Session.send(self, request, **options)

    # The package's own sessions, and not those of Airflow.
    with patch.object(client._Session, "send", judging):
        yield
    assert not wrong, "\n".join(["requests that no vendor's reference knows:", *wrong])
