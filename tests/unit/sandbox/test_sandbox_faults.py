"""Fault plans: what is refused, what strikes when, and what each kind looks like on the wire."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from sandbox_client import Client

from airflow_providers_leads.sandbox import FaultPlan, Rule, Sandbox
from airflow_providers_leads.sandbox.fault_kinds import CRMS, FOREIGN_HOST, KINDS
from airflow_providers_leads.sandbox.faults import FaultPlanError, load_plan, read_plan

LISTS = {
    "hubspot": "/crm/v3/objects/contacts",
    "perspective": "/v1/funnels/65f0a0000000000000000001/contacts",
    "persistiq": "/v1/leads",
}
ROWS = {"hubspot": "results", "perspective": "data", "persistiq": "leads"}


def test_a_plan_as_yaml() -> None:
    plan = read_plan(
        """
        seed: 3
        rules:
          - {fault: limit_seconds, seconds: 4, crm: hubspot, method: post, path: "*/batch/*", nth: [1, 3]}
          - {fault: slow, every: 5, times: 2}
          - {fault: cut_after, nth: 2}
          - {fault: error_502, share: 2.5%}
        """
    )
    assert plan == FaultPlan(
        (
            Rule(
                fault="limit_seconds",
                options={"seconds": 4},
                crm="hubspot",
                method="POST",
                path="*/batch/*",
                nth=(1, 3),
            ),
            Rule(fault="slow", every=5, times=2),
            Rule(fault="cut_after", nth=(2,)),
            Rule(fault="error_502", share=0.025),
        ),
        seed=3,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: a plan is a mapping with a list of 'rules'"),
        ("- fault: slow", "line 1: a plan is a mapping"),
        ("seed: 1\nrules: []", "line 2: a plan is a mapping with a list"),
        ("rules:\n- fault: slow\nsede: 1", "line 3: 'sede' is not known"),
        ("rules:\n- fault: slow\nseed: x", "line 3: seed must be a whole number"),
        ("rules:\n- slow", "line 2: a rule is a mapping that names its fault"),
        ("rules:\n- crm: hubspot\n  every: 3", "line 2: a rule is a mapping that names its fault"),
        ("rules:\n- crm: hubspot\n  fault: slwo", "line 3: there is no fault 'slwo'; there are cut_before"),
        ("rules:\n- fault: slow\n\n  evry: 3", "line 4: 'evry' is not known"),
        ("rules:\n- fault: slow\n  crm: salesforce", "line 3: crm must be one of hubspot, perspective, persistiq"),
        ("rules:\n- fault: locked\n  crm: persistiq", "line 3: locked happens to hubspot only"),
        ("rules:\n- fault: slow\n  seconds: 2", "line 3: slow has no option 'seconds'"),
        ("rules:\n- fault: slow\n  milliseconds: 0", "line 3: milliseconds must be a whole number of at least 1"),
        ("rules:\n- fault: foreign_next\n  to: 7", "line 3: to must be the origin of a host"),
        ("rules:\n- fault: slow\n  every: 0", "line 3: every must be a whole number of at least 1"),
        ("rules:\n- fault: slow\n  times: true", "line 3: times must be a whole number"),
        ("rules:\n- fault: slow\n  nth:\n  - 1\n  - x", "line 3: nth must be a whole number"),
        ("rules:\n- fault: slow\n  nth: 1\n  share: 2%", "line 4: nth and share can't be given together"),
        ("rules:\n- fault: slow\n  share: 2", "line 3: share must be a percentage such as 2%"),
        ("rules:\n- fault: slow\n  share: 101%", "line 3: share must be more than 0 and at most 100%"),
        ("rules:\n- fault: slow\n  path: [a]", "line 3: path must be text"),
        ("rules:\n- fault: slow\n  fault: cut_after", "line 3: 'fault' is set again"),
        ("rules:\n- fault: !!python/object/apply:os.system [ls]", "line 2: the type"),
        ("rules: &a\n- *a", "line 2: aliases are not supported"),
        ("rules: [", "line 1"),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused_by_its_line(text: str, said: str) -> None:
    with pytest.raises(FaultPlanError, match="^plan.yaml, " + re.escape(said)):
        read_plan(text, "plan.yaml")


def struck(plan: FaultPlan, calls: list[tuple[str, str]], crm: str = "hubspot") -> list[str]:
    class Request:
        def __init__(self, method: str, path: str) -> None:
            self.method, self.path, self.headers, self.body = method, path, dict[str, str](), b""

    faults = plan.for_crm(crm)
    found = [faults(index, Request(*call)) for index, call in enumerate(calls)]  # type: ignore[arg-type]
    return [fault.name if fault else "" for fault in found]


GETS = [("GET", "/a/1")] * 6


@pytest.mark.parametrize(
    ("rule", "calls", "hits"),
    [
        ({}, GETS, [0, 1, 2, 3, 4, 5]),
        ({"nth": (1, 4)}, GETS, [0, 3]),
        ({"every": 2}, GETS, [1, 3, 5]),
        ({"every": 2, "times": 2}, GETS, [1, 3]),
        ({"times": 1}, GETS, [0]),
        ({"method": "POST", "nth": (1,)}, [("GET", "/a"), ("POST", "/a"), ("POST", "/a")], [1]),
        ({"path": "/a/*/c", "nth": (2,)}, [("GET", "/a/b/c"), ("GET", "/a/c"), ("GET", "/a/x/y/c")], [2]),
        ({"crm": "persistiq"}, GETS, []),
    ],
)
def test_when_a_rule_strikes(rule: dict[str, Any], calls: list[tuple[str, str]], hits: list[int]) -> None:
    found = struck(FaultPlan((Rule(fault="cut_before", **rule),)), calls)
    assert [index for index, name in enumerate(found) if name] == hits


def test_a_share_is_drawn_from_the_seed() -> None:
    rule = (Rule(fault="cut_before", share=0.02),)
    calls = [("GET", "/a")] * 20_000
    first = struck(FaultPlan(rule, seed=1), calls)
    assert first == struck(FaultPlan(rule, seed=1), calls)
    assert first != struck(FaultPlan(rule, seed=2), calls)
    assert first != struck(FaultPlan(rule, seed=1), calls, "persistiq")
    assert 0.015 < sum(map(bool, first)) / len(calls) < 0.025


def test_the_first_rule_that_strikes_decides() -> None:
    plan = FaultPlan((Rule(fault="locked", nth=(2,)), Rule(fault="cut_after")))
    assert struck(plan, GETS[:3]) == ["cut_after", "locked", "cut_after"]
    assert struck(plan, GETS[:3], "persistiq") == ["cut_after"] * 3, "a lock happens to HubSpot only"


# What each kind looks like to a bare client; "same" is the undisturbed answer.
FORMS: dict[str, Callable[[requests.Response], bool]] = {
    "error_500": lambda a: a.status_code == 500 and isinstance(a.json(), dict),
    "error_500_after": lambda a: a.status_code == 500,
    "error_502": lambda a: a.status_code == 502 and a.text.startswith("<html>") and "html" in a.headers["content-type"],
    "error_503": lambda a: (a.status_code, a.headers["retry-after"]) == (503, "1"),
    "truncated": lambda a: a.status_code == 200 and int(a.headers["content-length"]) == len(a.content),
    "oversized": lambda a: a.status_code == 200 and len(a.content) > 2 << 20,
    "nested": lambda a: a.status_code == 200 and a.text.count("[") == 100_000,
    "foreign_redirect": lambda a: a.status_code == 302 and a.headers["location"].startswith(FOREIGN_HOST),
    "token_expired": lambda a: a.status_code == 401,
    "locked": lambda a: a.status_code == 423,
    "migrating": lambda a: (a.status_code, a.headers["retry-after"]) == (477, "1"),
    "limit_seconds": lambda a: (a.status_code, a.headers["retry-after"]) == (429, "1"),
    "limit_date": lambda a: 0 < parsedate_to_datetime(a.headers["retry-after"]).timestamp() - time.time() < 3,
    "limit_text": lambda a: bool(re.search(r"reseted at \d{10}\.", a.text)),
    "limit_reset": lambda a: 0 < int(a.headers["x-ratelimit-reset"]) - time.time() < 3,
    "limit_body": lambda a: (a.status_code, a.json()["retryAfter"]) == (429, 1),
    "limit_policy": lambda a: a.json()["policyName"] == "TEN_SECONDLY_ROLLING" and a.headers["x-hubspot-ratelimit-max"],
    "limit_daily": lambda a: a.json()["policyName"] == "DAILY",
    "limit_silent": lambda a: a.status_code == 429 and "retry" not in f"{a.headers}{a.text}".lower(),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "crm"), [(kind, crm) for kind in FORMS for crm in KINDS[kind].crms])
def test_each_kind_on_the_wire(sandbox: Sandbox, kind: str, crm: str) -> None:
    api = getattr(sandbox, crm)
    options = {"megabytes": 2} if kind == "oversized" else {}
    api.faults = FaultPlan((Rule(fault=kind, nth=(1,), options=options),)).for_crm(crm)
    client = Client(api)
    answer = client("GET", LISTS[crm], allow_redirects=False)
    assert FORMS[kind](answer), answer.text[:500]
    if kind == "truncated":
        with pytest.raises(ValueError, match=r".+"):
            answer.json()
    assert client("GET", LISTS[crm]).status_code == 200
    api.faults = None


@pytest.mark.parametrize("crm", CRMS)
def test_pages_that_mislead(serve: Callable[..., Sandbox], crm: str) -> None:
    api = getattr(serve(people=300), crm)
    client, key = Client(api), ROWS[crm]
    size = {"limit": 20} if crm != "persistiq" else {}

    def ids(page: Any) -> list[str]:
        return [row["id"] for row in page[key]]

    first = client.get(LISTS[crm], **size)
    after = {"hubspot": lambda: {"after": first["paging"]["next"]["after"]}}.get(
        crm, lambda: {"page": 1 if crm == "perspective" else 2}
    )()
    second = client.get(LISTS[crm], **size, **after)

    def with_fault(kind: str, **options: Any) -> list[Any]:
        api.faults = FaultPlan((Rule(fault=kind, options=options),)).for_crm(crm)
        return [client.get(LISTS[crm], **size), client.get(LISTS[crm], **size, **after)]

    pages = with_fault("rows_repeated")
    assert ids(pages[0]) == [ids(first)[0], *ids(first)]
    assert ids(pages[1]) == ids(first) + ids(second)
    assert [key in page for page in with_fault("without_list")] == [False, False]
    if crm != "perspective":
        link = with_fault("foreign_next", to="http://thief.example")[0]
        assert str(link.get("next_page") or link["paging"]["next"]["link"]).startswith("http://thief.example/")
    pages = with_fault("rows_deleted", rows=3)
    assert ids(pages[0]) == ids(first)
    api.faults = None
    assert not set(ids(client.get(LISTS[crm], **size))) & set(ids(first)[:3])


def test_faults_of_a_sandbox_are_counted(serve: Callable[..., Sandbox]) -> None:
    plan = FaultPlan((Rule(fault="error_500", crm="persistiq", every=2), Rule(fault="limit_silent", crm="persistiq")))
    sandbox = serve(faults=plan)
    clients = {crm: Client(getattr(sandbox, crm)) for crm in CRMS}
    assert [clients["persistiq"]("GET", "/v1/tags").status_code for _ in range(4)] == [429, 500, 429, 500]
    assert clients["persistiq"].get("/_sandbox/stats")["faults"] == {"limit_silent": 2, "error_500": 2}
    assert clients["hubspot"]("GET", LISTS["hubspot"]).status_code == 200
    clients["persistiq"]("POST", "/_sandbox/reset-stats")
    assert clients["persistiq"].get("/_sandbox/stats")["faults"] == {}


def test_the_command_names_the_line_of_a_bad_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("rules:\n  - fault: slwo\n", encoding="utf-8")
    command = [sys.executable, "-m", "airflow_providers_leads.sandbox", "--faults"]
    for path, said in ((plan, "plan.yaml, line 2: there is no fault 'slwo'"), (tmp_path / "none.yaml", "none.yaml")):
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert said in done.stderr


def test_the_documented_plan_can_be_used_and_every_kind_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    plans = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert plans
    assert all(read_plan(plan).rules for plan in plans)
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    crms = {kind: "all" if row.crms == CRMS else ", ".join(row.crms) for kind, row in KINDS.items()}
    assert rows == [
        (kind, row.does, crms[kind], ", ".join(f"`{option}`" for option in row.options)) for kind, row in KINDS.items()
    ]


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("rules:\n- fault: slow\n", encoding="utf-8")
    assert load_plan(tmp_path / "p.yaml") == FaultPlan((Rule(fault="slow"),))
