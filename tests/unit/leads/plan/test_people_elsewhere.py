"""Whom to look up in a CRM of whom other CRMs have told something: by all their addresses."""

from __future__ import annotations

from pathlib import Path

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, people_elsewhere


def lead(source: str, number: int, address: str, *others: str) -> Lead:
    listed = ",".join(f'"{other}"' for other in others)
    properties = f'{{"email_aliases":[{listed}],"x":"email_aliases"}}' if others else '{"x":"email_aliases"}'
    return Lead(source, source, str(number), address, address, properties=properties)


def test_secondary_addresses_are_looked_up_unless_the_crm_itself_has_told_them(tmp_path: Path) -> None:
    people = [
        lead("hubspot", 1, "ann@x.de", "ann2@y.de"), lead("hubspot", 2, "bob@x.de"), lead("hubspot", 3, "cid@x.de"),
        lead("persistiq", 4, "cid2@y.de", "cid@x.de"),
    ]  # fmt: skip
    write_rows(tmp_path / "leads.parquet", Lead, people)
    files = [tmp_path / "leads.parquet"]
    assert people_elsewhere(files, "persistiq", "persistiq") == (["ann2@y.de", "ann@x.de", "bob@x.de"], {"4"})
    assert people_elsewhere(files, "hubspot", "hubspot") == (["cid2@y.de"], {"1", "2", "3"})
    assert set(addresses_to_look_up(files[0])) >= {"ann@x.de", "ann2@y.de", "cid2@y.de"}
