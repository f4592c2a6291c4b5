"""Who has objected, by what a destination holds right before a write."""

from __future__ import annotations

import pytest

from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.plan.suppression import Suppressions
from airflow_providers_leads.tasks.existing import Objections


@pytest.mark.parametrize("written", ["bob@x.de, ann@x.de", "ann @x.de", "mailto:ann@x.de?subject=no"])
@pytest.mark.parametrize("rules", [IdentityRules(), IdentityRules(plus_tags=True)])
def test_an_objection_beside_other_words_in_the_address_field_counts(written: str, rules: IdentityRules) -> None:
    found = Objections(Suppressions(None, rules), rules)
    found.look_at([Lead("crm", "crm", "1", email=written, opted_out=True)])
    ann = PlanRow(email_key="ann@x.de", action="create")
    assert found.reason(ann) == "opted_out"
    assert found.reason(PlanRow(email_key="carl@x.de", action="create")) is None
    # Of which address mail came back, such a field doesn't say.
    found = Objections(Suppressions(None, rules), rules)
    found.look_at([Lead("crm", "crm", "1", email=written, bounced=True)])
    assert found.reason(ann) is None
