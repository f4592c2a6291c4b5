"""What people are told of a run, by a notifier of another provider."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import BaseNotifier

from airflow_providers_leads.notifier import LeadsSummaryNotifier

MADE = {"report": "https://reports.example/r.html", "status": "problem", "summary": "3 people; {{ 7 * 6 }} <b>crm</b>."}


class Chat(BaseNotifier):
    """Stands in for Slack's or Teams'."""

    template_fields = ("text", "channel")
    sent: ClassVar[list[tuple[str, str]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.text, self.channel = "nothing yet", "{{ ti.dag_id }}-runs"

    def notify(self, context: Any) -> None:
        self.sent.append((self.text, self.channel))


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Chat:
    monkeypatch.setattr(Chat, "sent", [])
    return Chat()


def context(made: Any) -> Any:
    ti = SimpleNamespace(
        dag_id="sync", run_id="r", task_id="report", map_index=-1, log_url="https://airflow.example/log",
        xcom_pull=lambda task_ids, map_indexes: made,
    )  # fmt: skip
    return {"ti": ti}


def test_a_summary_and_its_link_are_told_and_no_word_is_a_template(chat: Chat) -> None:
    LeadsSummaryNotifier(chat)(context(MADE))
    LeadsSummaryNotifier(chat)(context(MADE))
    text = "sync: needs a look. 3 people; {{ 7 * 6 }} <b>crm</b>.\nhttps://reports.example/r.html"
    assert Chat.sent == [(text, "sync-runs")] * 2


@pytest.mark.parametrize(("status", "told"), [("problem", True), ("rejected", True), ("ok", False), ("planned", False)])
def test_only_what_is_worth_it_is_told(status: str, told: bool, chat: Chat) -> None:
    LeadsSummaryNotifier(chat, only=["problem", "rejected"])(context({**MADE, "status": status}))
    assert bool(Chat.sent) is told


def test_a_report_that_could_not_be_made_is_always_told(chat: Chat) -> None:
    LeadsSummaryNotifier(chat, only=["rejected"])(context(None))
    assert Chat.sent == [("sync: the report of r could not be made.\nhttps://airflow.example/log", "sync-runs")]


def test_a_mail_is_safe_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(SmtpNotifier, "notify", lambda self, context: sent.append(self.html_content))
    mail = SmtpNotifier(to="ops@example.org", from_email="airflow@example.org", subject="s", html_content="x")
    LeadsSummaryNotifier(mail, field="html_content")(context(MADE))
    assert "&lt;b&gt;crm&lt;/b&gt;" in sent[0]
    assert '<a href="https://reports.example/r.html">' in sent[0]


@pytest.mark.parametrize(
    ("options", "said"), [({"field": "body"}, "'body'"), ({"only": ["bad"]}, "'bad'"), ({"only": "ok"}, "'ok'")]
)
def test_a_bad_argument_is_told_at_once(options: dict[str, Any], said: str, chat: Chat) -> None:
    with pytest.raises(ValueError, match=said):
        LeadsSummaryNotifier(chat, **options)
