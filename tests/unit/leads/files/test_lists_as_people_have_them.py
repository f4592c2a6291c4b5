"""Lists of whom not to write, made by chance in the forms that people and programs write, with the truth beside each.

Who is named is suppressed and nobody else is, or the list is refused with the line: rows 22, 23, 24, 25, 26 and 31.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airflow_providers_leads.leads.files.address_lists import AddressListError
from airflow_providers_leads.leads.model.identity import domain_of, email_key
from airflow_providers_leads.leads.plan.suppression import Suppressions, read_suppressions

LISTS = 400
DOMAINS = ("x.example", "kunde.example", "gmail.com", "bücher.example", "sub.kunde.example", "firma.co.example")
LOCALS = ("ann", "bob.lee", "info", "müller", "o'hara", "e+news", "x_y", "7up", "mary-jane", "chris", "i.brahim", "zoë")
EVERYBODY = [f"{local}@{domain}" for local in LOCALS for domain in DOMAINS]
INVISIBLE = "\u200b\u200e\u202a\ufeff\u00ad\u2060"
HEADERS = (
    "email", "Email", "E-Mail", "e-mail-adresse", "Email Address", "EMAIL_ADDRESS", "Contact Email", "Primary email",
    "email_key", "Mail", "emailAddress",
)  # fmt: skip


@dataclass
class Made:
    """A list and its truth.

    :param keys: the people whom it names
    :param domains: the domains that it names as a whole
    :param refused: line that can't mean anybody for sure, so that the list must be refused
    """

    name: str
    content: bytes
    keys: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    refused: int | None = None


def decorated(rng: random.Random, address: str) -> str:
    local, _, domain = address.rpartition("@")
    ways: list[Callable[[], str]] = [
        lambda: address,
        lambda: address.upper() if address.isascii() else address.title(),
        lambda: f"  {address} ",
        lambda: f"mailto:{address}",
        lambda: f"'{address}",
        lambda: f"={address}",
        lambda: f"Lee Ann <{address}>",
        lambda: f"<{address}>",
        lambda: f"{local}{rng.choice(INVISIBLE)}@{domain}",
        lambda: f"{address}{rng.choice(INVISIBLE)}",
        lambda: f"{local}@{domain.encode('idna').decode()}",
        lambda: f"{address};",
        lambda: f"\xa0{address}",
    ]
    return rng.choice(ways)()


def entries(rng: random.Random, made: Made, *, domains: bool = True) -> list[str]:
    """Choose whom a list names, and how each is written."""
    written = []
    for address in rng.sample(EVERYBODY, rng.randrange(1, 15)):
        key = email_key(address)
        assert key is not None
        if domains and rng.random() < 0.15:
            domain = address.rpartition("@")[2]
            made.domains.add(domain_of(key))
            written.append(rng.choice(("@{}", "*@{}", "?@{}", "%@{}", "'@{}", "@{} ")).format(domain))
        else:
            made.keys.add(key)
            written.append(decorated(rng, address))
    return written


def encoded(rng: random.Random, text: str) -> bytes:
    kinds = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]
    for kind in rng.sample(kinds, len(kinds)):
        try:
            return text.encode(kind)
        except UnicodeEncodeError:
            continue
    raise AssertionError


def lines(rng: random.Random) -> Made:
    made = Made("list.txt", b"")
    rows = entries(rng, made)
    if rng.random() < 0.4:
        rows = [f"# exported {rng.randrange(2020, 2027)}", "", *rows]
    if rng.random() < 0.3:
        rows.insert(rng.randrange(len(rows) + 1), "")
    if rng.random() < 0.2:
        rows.insert(rng.randrange(len(rows) + 1), "# see ticket 4, ask ann@never.example")
    if rng.random() < 0.2:
        place = rng.randrange(len(rows) + 1)
        rows.insert(place, rng.choice(("not a person", "ann@", "ann(at)x.example", "a*n@x.example", "@")))
        made.refused = place + 1
    made.content = encoded(rng, rng.choice(("\n", "\r\n")).join(rows) + rng.choice(("", "\n")))
    return made


def domain_beside(entry: str) -> str:
    return domain_of(email_key(entry) or "")


def table(rng: random.Random) -> Made:
    made = Made(rng.choice(("list.csv", "list.csv", "list.tsv")), b"")
    delimiter = "\t" if made.name.endswith("tsv") else rng.choice(",;\t|")
    written = [entry.rstrip(";").rstrip() if delimiter == ";" else entry for entry in entries(rng, made)]
    columns = [(rng.choice(HEADERS), written)]
    others: list[tuple[str, Callable[[str], str]]] = [
        ("Name", lambda _: rng.choice(("Lee, Ann", 'Bob "the" Boss', "", "Zoë"))),
        ("Owner email", lambda _: rng.choice(("boss@never.example", "chris@x.example"))),
        ("Notes", lambda _: rng.choice(("asked twice\nby phone", "said; no", "", "wrote to boss@never.example"))),
        ("Date", lambda _: "2026-01-31"),
        ("Count", lambda _: str(rng.randrange(9))),
    ]
    if rng.random() < 0.4:
        # As verifiers of addresses write it.
        others = [("result", lambda _: "undeliverable"), ("domain", domain_beside), ("free", lambda _: "true")]
        if made.domains:
            others.pop(1)
    for name, value in rng.sample(others, rng.randrange(len(others) + 1)):
        columns.insert(rng.randrange(len(columns) + 1), (name, [value(entry) for entry in written]))
    text = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=rng.choice(("\n", "\r\n")))
    if len(columns) > 1 or rng.random() < 0.7:
        writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(cells for _, cells in columns), strict=True))
    content = text.getvalue()
    if rng.random() < 0.25 and delimiter != "\t":
        content = f"sep={delimiter}\n{content}"
    if rng.random() < 0.1:
        made.refused = content.count("\n") + 1
        content += f'carl@never.example{delimiter * (len(columns) - 1)}"asked twice\nann@x.example\n'
    made.content = encoded(rng, content)
    return made


def json_lines(rng: random.Random) -> Made:
    made = Made(rng.choice(("list.jsonl", "list.ndjson")), b"")
    written, key = entries(rng, made), rng.choice(HEADERS)
    shapes: list[Callable[[str], object]] = [
        lambda entry: entry,
        lambda entry: {"n": 1, key: entry},
        lambda entry: {key: entry, "owner_email": "boss@never.example"},
        lambda entry: [entry],
        lambda entry: {key: [entry], "when": None},
    ]
    rows = [json.dumps(rng.choice(shapes)(entry), ensure_ascii=rng.random() < 0.5) for entry in written]
    if rng.random() < 0.15:
        place = rng.randrange(len(rows) + 1)
        rows.insert(place, rng.choice(('{"email": "ann@x', "7", '{"name": "Ann"}', '{"email": "ann"}')))
        made.refused = place + 1
    made.content = "\n".join(rows).encode()
    return made


def whole_json(rng: random.Random) -> Made:
    made = Made("list.json", b"")
    written, key = entries(rng, made), rng.choice(HEADERS)
    rows: object = rng.choice((written, [{key: entry} for entry in written], [[entry] for entry in written]))
    value = rng.choice((rows, {"results": rows, "total": len(written)}))
    made.content = json.dumps(value, indent=rng.choice((None, 2))).encode()
    return made


@pytest.mark.parametrize("seed", range(LISTS))
def test_rows_22_to_26_and_31_who_is_named_and_nobody_else(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    made = rng.choice((lines, table, table, json_lines, whole_json))(rng)
    path = tmp_path / made.name
    path.write_bytes(made.content)
    found = Suppressions()
    if made.refused is not None:
        with pytest.raises(AddressListError, match=rf"(line|row|entry) {made.refused}\b") as caught:
            read_suppressions(path, found)
        assert not re.search(r"\S@\S", str(caught.value))
        return
    read_suppressions(path, found)
    people = {str(email_key(address)) for address in EVERYBODY} | {"boss@never.example", "carl@never.example"}
    named = made.keys | {key for key in people if domain_of(key) in made.domains}
    assert {key for key in people if found.reason([key])} == named, path.read_bytes()
