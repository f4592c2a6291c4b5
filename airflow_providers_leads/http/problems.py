"""Error answers, reduced to the parts that are safe to show.

Where a vendor's answers say what is a table (:class:`ProblemForm`), and what it packs away deeper a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_providers_leads.http.errors import scrub
from airflow_providers_leads.http.paths import value_at, values_at

CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,60}|[a-z][a-z_]{1,40}")
"""A machine-readable word, which is safe to show."""
# What only says that it is an error.
_NO_CODES: Final = frozenset({"error", "errors", "fail", "failed", "failure", "ERROR", "FAILURE"})
_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,63}", re.ASCII)
# No honest sentence is as long, and some patterns are not linear on hostile text.
LONGEST_SENTENCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Problem:
    """The machine-readable part of an error answer.

    :param category: the vendor's category or reason
    :param codes: finer codes, with the property they concern in brackets where known
    :param request_id: the id that the vendor's support asks for
    :param existing_id: id of the record that a conflict names
    :param words: the vendor's own sentence, scrubbed; for result files, never for messages and logs
    :param not_found: the sentence says that something is not there
    :param exists: the sentence says that it is there already
    :param cure: what to do about it, our own words; empty where that isn't known
    """

    category: str | None = None
    codes: tuple[str, ...] = ()
    request_id: str | None = None
    existing_id: str | None = None
    words: str = ""
    not_found: bool = False
    exists: bool = False
    cure: str = ""

    @property
    def reason(self) -> str:
        """What is said of a record, for result files: the finer codes, the vendor's words, and what to do."""
        return reason_of(self.codes, self.words, self.cure)


def reason_of(codes: Iterable[str | None], words: str, cure: str) -> str:
    """Return why something was refused, for result files.

    :param codes: the vendor's category and codes
    :param words: its sentence, scrubbed
    :param cure: what to do about it
    """
    said = ": ".join(part for part in (", ".join(code for code in codes if code), words) if part)
    return f"{said.rstrip('.')}. {cure}" if said and cure else said or cure


def _nothing(body: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ProblemForm:
    """Where the error answers of an API say what; the defaults are what most do.

    :param categories: JSON paths of the category; the first that holds a code wins
    :param words: JSON paths of the sentence; the first that holds one wins
    :param request_ids: JSON paths of the request's id
    :param request_id_headers: headers with the request's id, after those
    :param codes: returns the finer codes of a body, perhaps with names in brackets, which must be safe to show
    :param existing_ids: yields what may be the id of the record that a conflict names
    :param not_found: what the sentence says where something is not there, with whatever status
    :param exists: what it says where something is there already
    :param key: matches the begin of this vendor's keys, where they don't look like keys to :func:`scrub`
    :param cures: what to do, by a pattern that is looked for in codes, category and sentence; the first that is found
        counts. Whole sentences of our own, which name no value
    """

    categories: tuple[str, ...] = ("category", "code", "error.code", "error.type", "reason", "error.reason")
    words: tuple[str, ...] = ("error.message", "error", "message", "errors.message", "errors", "detail", "title")
    request_ids: tuple[str, ...] = ("requestId", "request_id")
    request_id_headers: tuple[str, ...] = ("X-Request-Id",)
    codes: Callable[[Any], tuple[str, ...]] = _nothing
    existing_ids: Callable[[Any], tuple[str, ...]] = _nothing
    not_found: re.Pattern[str] = re.compile(r"\bnot (?:be )?found\b", re.IGNORECASE)
    exists: re.Pattern[str] = re.compile(r"\balready exists\b", re.IGNORECASE)
    key: re.Pattern[str] | None = None
    cures: Mapping[str, str] = field(default_factory=dict)

    def cure(self, said: Iterable[str | None]) -> str:
        """Return what to do about a refusal, empty where that isn't known.

        :param said: its codes, category and sentence
        """
        text = " ".join(part for part in said if part)
        return next((cure for found, cure in self.cures.items() if re.search(found, text, re.IGNORECASE)), "")


_RECORD_ID: Final = re.compile(r"[0-9]{1,20}")
USUAL: Final = ProblemForm()


def _texts(body: Any, paths: tuple[str, ...]) -> Iterator[str]:
    return (value for path in paths for value in values_at(body, path) if isinstance(value, str))


def sentence(body: Any, paths: tuple[str, ...] = USUAL.words) -> str:
    """Return the vendor's sentence as it stands in an error answer, empty when there is none."""
    return next(_texts(body, paths), "")[:LONGEST_SENTENCE]


def read_problem(headers: Mapping[str, str], body: Any, form: ProblemForm = USUAL) -> Problem:
    """Return what an error answer says in machine-readable words; anything may be missing or of another shape.

    :param headers: response headers, case-insensitive
    :param body: decoded JSON body, or ``None``
    :param form: of the vendor's answers
    """
    words = sentence(body, form.words)
    named = (value for name in form.request_id_headers if (value := headers.get(name)))
    ids = [value for path in form.request_ids if isinstance(value := value_at(body, path), str)] + [*named]
    category = next((c for c in _texts(body, form.categories) if CODE.fullmatch(c) and c not in _NO_CODES), None)
    codes = tuple(dict.fromkeys(c for c in form.codes(body) if CODE.fullmatch(c.partition("(")[0])))
    return Problem(
        category=category,
        codes=codes,
        request_id=next((i for i in ids if _REQUEST_ID.fullmatch(i) and not (form.key and form.key.match(i))), None),
        existing_id=next((i for i in form.existing_ids(body) if _RECORD_ID.fullmatch(i)), None),
        words=scrub(form.key.sub("<redacted>", words) if form.key else words),
        not_found=bool(form.not_found.search(words)),
        exists=bool(form.exists.search(words)),
        cure=form.cure((*codes, category, words)),
    )
