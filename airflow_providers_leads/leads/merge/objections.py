"""Who has objected in a record whose address field is no usable address."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ibis

from airflow_providers_leads.leads.files.list_entries import addresses_within
from airflow_providers_leads.leads.merge.engine import collect, in_memory
from airflow_providers_leads.leads.model.identity import IdentityRules, person_key, person_key_expr
from airflow_providers_leads.leads.model.schema import Lead


def objecting_people(connection: Any, leads: ibis.Table, rules: IdentityRules) -> frozenset[str]:
    """Return the people who objected in records without a usable address, as far as what stands there tells of them.

    Two addresses in one field are no address, but whoever objected there has objected.

    :param connection: the engine
    :param leads: rows with ``email``, ``email_key`` and ``opted_out``
    :param rules: which addresses are one person's
    :return: person keys
    """
    odd = leads.filter(leads.email_key.isnull() & leads.email.notnull() & leads.opted_out.fill_null(False))
    found = (addresses_within(row["email"]) for row in collect(connection, odd.select("email").distinct()))
    return frozenset(person_key(key, rules) for keys in found for key in keys)


def objector_keys(lead: Lead) -> set[str]:
    """Return the addresses for which an objection in a record counts where its address field is none.

    A bounce counts for none of them: which of several addresses it was, the record doesn't say.

    :param lead: a record
    :return: email keys
    """
    odd = lead.email_key is None and lead.email is not None and lead.opted_out is True
    return addresses_within(lead.email or "") if odd else set()


def opted_out_where(leads: ibis.Table, people: Collection[str], rules: IdentityRules) -> ibis.Table:
    """Return leads of which those of some people are opted out.

    :param leads: rows with ``email_key`` and ``opted_out``
    :param people: person keys
    :param rules: which addresses are one person's
    """
    found = in_memory({"objector": sorted(people)})
    keyed = leads.mutate(own_key=person_key_expr(leads.email_key, rules))
    joined = keyed.left_join(found, keyed.own_key == found.objector)
    return joined.mutate(opted_out=joined.objector.notnull().ifelse(True, joined.opted_out)).select(*leads.columns)
