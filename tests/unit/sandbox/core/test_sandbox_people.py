from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from sandbox_client import Client

from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.core.people import Copy, Person, make_people, short_code
from airflow_providers_leads.sandbox.core.people_words import DNC_DOMAINS

ANCHOR = 1_793_491_200_000
ROOT = Path(__file__).parents[4]
KINDS = {"contactable", "opted_out", "bounced", "dnc", "no_email", "invalid_email"}


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return make_people(40, 7, ANCHOR)


def copies(people: list[Person], crm: str) -> list[Copy]:
    return [copy for person in people for copy in person.copies if copy.crm == crm]


def plain(address: str) -> str:
    """Canonical form, written apart from the generator's own."""
    local, domain = unicodedata.normalize("NFC", address).strip().casefold().split("@")
    return f"{local}@" + ".".join(
        part if part.isascii() else "xn--" + part.encode("punycode").decode() for part in domain.split(".")
    )


def test_repeats_whatever_the_hash_seed() -> None:
    code = (
        "from airflow_providers_leads.sandbox.core.people import make_people;"
        f"print([p.as_dict() for p in make_people(60, 3, {ANCHOR})])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs != {b""}
    assert [p.as_dict() for p in make_people(60, 4, ANCHOR)] != [p.as_dict() for p in make_people(60, 3, ANCHOR)]


def test_forty_people_hold_every_kind(people: list[Person]) -> None:
    assert {person.kind for person in people} == KINDS
    for person in people:
        flags = [name for copy in person.copies for name in ("opted_out", "bounced") if copy.fields.get(name)]
        assert flags == ([person.kind] if person.kind in ("opted_out", "bounced") else [])
        assert (person.email is None) == (person.kind in ("no_email", "invalid_email"))
        assert (person.kind == "dnc") == bool(person.email and person.email.endswith(DNC_DOMAINS))
        written = {plain(copy.fields["email"]) for copy in person.copies if person.email}
        assert written == ({person.email} if person.email else set())


def test_troubles_are_all_there(people: list[Person]) -> None:
    written = [copy.fields["email"] for copy in copies(people, "perspective") if "email" in copy.fields]
    assert any(text != text.strip() for text in written)
    assert any("\u00a0" in text for text in written)
    assert any(text != text.lower() for text in written)
    assert any(not text.isascii() for text in written)
    assert any("xn--" in copy.fields.get("email", "").lower() for copy in copies(people, "persistiq"))
    names = [copy.fields.get("last_name", "") for person in people for copy in person.copies]
    assert any(unicodedata.normalize("NFC", name) != name for name in names)
    scopes = [Counter(copy.scope for copy in person.copies if copy.crm == "perspective") for person in people]
    assert any(len(scope) > 1 for scope in scopes)
    assert any(max(scope.values(), default=0) > 1 for scope in scopes)
    emails = {person.email for person in people}
    assert any(e and "+" in e and e.replace("+news", "") in emails for e in emails)
    assert any(e and (e.split("@")[0].replace(".", "") + "@" + e.split("@")[1]) in emails - {e} for e in emails)


def test_ids_and_addresses_are_unique() -> None:
    people = make_people(3000, 11, ANCHOR)
    emails = [person.email for person in people if person.email]
    assert len(emails) == len(set(emails))
    for crm in ("hubspot", "perspective", "persistiq"):
        ids = [copy.source_id for copy in copies(people, crm)]
        assert len(ids) == len(set(ids))
    stored = [copy.fields["email"] for copy in copies(people, "hubspot") if "email" in copy.fields]
    assert len(stored) == len(set(stored))
    assert all(text == text.strip().lower() for text in stored)
    times = Counter(copy.created for person in people for copy in person.copies)
    assert sum(1 for number in times.values() if number == 1) > 0.8 * len(times)
    assert max(times.values()) > 1
    assert len({short_code(n) for n in range(100_000)}) == 100_000


def test_every_copy_can_be_read_from_its_api(sandbox: Sandbox) -> None:
    clients = {api.name: Client(api) for api in sandbox.apis}
    paths = {
        "hubspot": "/crm/v3/objects/contacts/{id}",
        "perspective": "/v1/funnels/{scope}/contacts/{id}",
        "persistiq": "/v1/leads/{id}",
    }
    for person in sandbox.people[:60]:
        for copy in person.copies:
            body = clients[copy.crm].get(paths[copy.crm].format(scope=copy.scope, id=copy.source_id))
            row = body.get("data") or (body["leads"][0]["data"] if "leads" in body else body["properties"])
            assert (row.get("email") or None) == copy.fields.get("email")


def test_nobody_of_a_barred_domain_is_taken_for_contactable() -> None:
    """A person whose address differs from the one before by a tag or a dot has that one's domain."""
    many = make_people(20_000, 7, ANCHOR)
    barred = [person for person in many if (person.email or "").rpartition("@")[2] in DNC_DOMAINS]
    assert barred
    assert {person.kind for person in barred} == {"dnc"}
