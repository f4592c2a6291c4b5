"""Leads for benchmarks: many, realistic, cheap to make, kept for the next run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from airflow_providers_leads.leads.files.staging import VERSION_METADATA
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, LEAD_COLUMNS, PROFILE_FIELDS, STICKY_FIELDS

SOURCES: Final = (("hubspot", "hubspot_default"), ("perspective", "funnel_a"), ("persistiq", "persistiq_default"))
_VERSION: Final = 1
# A prime: multiplying by it visits every person once, in an order that is none.
_STRIDE: Final = 1_000_000_007
# Microseconds: 2026-03-01, and one year.
_EPOCH: Final = 1_772_323_200_000_000
_YEAR: Final = 31_536_000_000_000


def _one_of(*words: str) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
    return f"CASE {{v}} % {len(words)} {cases} END"


# What a field holds, by {v}: one number per person, field and version of the field.
_VALUES: Final = {
    "first_name": _one_of("Anna", "Jürgen", "Zoë", "Max", "Lea", "Björn", "Ida", "Tom", "Eva", "Paul"),
    "last_name": _one_of("Müller", "Schmidt", "Weiß", "Novak", "Ross", "Keller") + " || ({v} // 6 % 9973)",
    "phone": "'+49151' || (10000000 + {v} % 89999999)",
    "company": "'Company ' || ({v} % 300007) || ' GmbH'",
    "title": _one_of("CEO", "CTO", "Head of Sales", "Engineer", "Founder", "Assistant"),
    "website": "'https://www.company' || ({v} % 300007) || '.example'",
    "address": "'Long Street of Names ' || ({v} % 20011)",
    "city": _one_of("Berlin", "München", "Köln", "Hamburg", "Wien", "Zürich", "Bonn", "Ulm"),
    "state": _one_of("Berlin", "Bayern", "Hessen", "Wien", "Zürich"),
    "postal_code": "(10000 + {v} % 89999)::VARCHAR",
    "country": _one_of("DE", "AT", "CH"),
    "industry": _one_of("Software", "Retail", "Health", "Finance", "Logistics"),
    "status": _one_of("new", "lead", "customer", "lost"),
}


def dataset(folder: Path, leads: int, people: int, seed: int = 1) -> list[Path]:
    """Return one Parquet file per source, made now or in an earlier run.

    Every person has a lead; the other leads go to random people. 15 % of the leads are stale in one to three fields,
    30 % of the optional values are missing, 1 % of the leads have no address, 1 % are opted out, 1 % bounced, 5 % share
    one time, 5 % have none. One HubSpot record in fifty has a secondary address that no other record has: looking it up
    is part of the work, and the result is still what tools that don't look can produce.

    :param folder: where the files are kept, by size and seed
    :param leads: rows in all
    :param people: distinct people among them
    :param seed: another seed gives other leads
    """
    if not 0 < people <= leads or people % _STRIDE == 0:
        raise ValueError(f"people: {people} can't be the people behind {leads} leads")
    target = folder / f"leads-{leads}-{people}-{seed}-v{_VERSION}"
    files = [target / f"{source}.parquet" for source, _ in SOURCES]
    target.mkdir(parents=True, exist_ok=True)
    metadata = ", ".join(f"'{name}': '{value}'" for name, value in VERSION_METADATA.items())
    for number, file in enumerate(files):
        if file.exists():
            continue
        part = file.with_suffix(".part")
        with duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            query = _rows(number, leads, people, seed)
            connection.execute(
                f"COPY ({query}) TO '{part}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{metadata}}})"
            )
        part.rename(file)
    return files


def _rows(number: int, leads: int, people: int, seed: int) -> str:
    """Return the query for the leads of one source.

    Every draw is a hash of the row's number and the draw's name, so that rows depend on nothing but themselves.
    """
    source, scope = SOURCES[number]

    def draw(name: str, sides: int) -> str:
        return f"hash(i, {seed}, '{name}') % {sides}"

    stale = f"stale AND (hash(i, {seed}, 'stale from') + {{place}}) % {len(PROFILE_FIELDS)} <= {draw('stale count', 3)}"
    columns = {
        "source": f"'{source}'",
        "source_scope": f"'{scope}'",
        "source_id": "i::VARCHAR",
        "email": f"CASE WHEN {draw('no email', 100)} > 0 THEN email END",
        "email_key": f"CASE WHEN {draw('no email', 100)} > 0 THEN email END",
        **{
            name: f"CASE WHEN {draw(name, 100)} = 0 THEN true WHEN {draw(name, 100)} < 50 THEN false END"
            for name in STICKY_FIELDS
        },
        "created_at": f"make_timestamptz({_EPOCH} - 1000000 * (p % 60000000))",
        "updated_at": f"CASE WHEN {draw('time', 20)} = 0 THEN make_timestamptz({_EPOCH}) WHEN {draw('time', 20)} > 1 "
        f"THEN make_timestamptz({_EPOCH} - stale::INT * {_YEAR} - ({draw('moment', _YEAR)})::BIGINT) END",
        "properties": f"""'{{' || CASE WHEN {draw("alias", 50)} = 0
            THEN '"{ALIASES_PROPERTY}":["other.' || i || '@example.org"],' ELSE '' END
            || '"hubspot_owner_id":"' || (p % 97) || '","lifecyclestage":"lead"}}'"""
        if source == "hubspot"
        else "NULL::VARCHAR",
    }
    for place, field in enumerate(PROFILE_FIELDS):
        value = _VALUES[field].format(v=f"v{place}")
        columns[field] = f"CASE WHEN {draw(field, 10)} > 2 THEN {value} END"
    versions = ", ".join(
        f"(hash(p, {place}, {stale.format(place=place)}) % 1000000007)::BIGINT AS v{place}"
        for place in range(len(PROFILE_FIELDS))
    )
    return f"""
    SELECT {", ".join(f"{columns[name]} AS {name}" for name in LEAD_COLUMNS)}
    FROM (
        SELECT *, {versions}, 'ann.' || p || '@company' || (p % 300007) || '.example' AS email
        FROM (
            SELECT i, {draw("stale", 100)} < 15 AS stale,
                CASE WHEN i < {people} THEN i * {_STRIDE} % {people} ELSE ({draw("person", people)})::BIGINT END AS p
            FROM range({leads}) AS all_rows(i) WHERE {draw("source", len(SOURCES))} = {number}
        )
    )"""
