"""What people did to one person's records, field by field, and which values don't compete for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from airflow_providers_leads.leads.memory import table
from airflow_providers_leads.leads.memory.decide import (
    BOTH_CHANGED,
    CLEARED,
    Look,
    Verdict,
    decide,
    same_but_for_form,
    same_value,
)
from airflow_providers_leads.leads.memory.hashing import keyed, keyed_form
from airflow_providers_leads.leads.memory.reads import FileFacts, ReadFacts, Retyped, has_read
from airflow_providers_leads.leads.memory.recalled import Policy, Recalled


class Judge:
    """Decides the fields of people of whom something has changed, one person after the other.

    :param key: of the hashes
    :param fields: all that is remembered
    :param reads: what the run has read
    :param policy: of the merge
    :param result: counts what was noticed
    :param now: the present time
    :param since: when the last run remembered, ``None``: there was none
    :param gaps: see :func:`~…memory.reads.gaps_of`
    :param retyped: properties that are not what they were
    :param files: source → what is known of files of leads
    """

    def __init__(
        self,
        key: str,
        fields: Sequence[str],
        reads: Sequence[ReadFacts],
        policy: Policy,
        result: Recalled,
        now: datetime,
        since: datetime | None,
        gaps: table.Gaps | None = None,
        retyped: Retyped | None = None,
        files: Mapping[str, FileFacts] | None = None,
    ) -> None:
        self._key, self._fields, self._reads = key, fields, reads
        self._policy, self._result, self._now, self._since = policy, result, now, since
        self._gaps = gaps or {}
        self._retyped, self._files = retyped or Retyped(), files or {}
        self.conflicts: list[dict[str, Any]] = []
        """What was decided between differing values: by winning record, to be joined to its person."""
        self.facts: list[dict[str, Any]] = []
        """What a plan must know, likewise."""
        self.reformatted: dict[int, list[str]] = {}
        """Number of the lead → fields whose written value the CRM keeps in another form."""
        self.dated: list[dict[str, Any]] = []
        """Values that are as good as edited from now on, with the times: what a run that died copied of an edited one,
        and what came with a new record after people had changed or emptied the field elsewhere."""

    def person(self, records: list[dict[str, Any]]) -> list[tuple[int, int, str | None]]:
        """Decide the fields of one person, and return which values of which leads don't compete."""
        masks = dict.fromkeys((record["row"] for record in records), 0)
        properties: dict[int, dict[str, Any]] = {}
        for bit, name in enumerate(self._fields):
            looks = self._reformatted([self._look(record, name) for record in records], records, name)
            looks = self._dated(looks, records, name)
            for record, look in zip(records, looks, strict=True):
                if look.fresh:
                    self._count(record["source"], name, look)
            competing = [n for n, record in enumerate(records) if name not in self._barred(record["source"])]
            verdict = decide([looks[n] for n in competing], self._policy.cleared)
            if verdict.winner is None:
                losers = self._left_behind(looks, records, competing, name)
            else:
                winner = competing[verdict.winner]
                self._date(looks, records, name, winner)
                self._note(records, looks, name, winner, verdict)
                losers = [n for n, look in enumerate(looks) if n != winner and look.value is not None]
            for n in losers:
                record = records[n]
                if name.startswith(table.PROPERTY):
                    own = properties.setdefault(record["row"], msgspec.json.decode(record["properties"] or "{}"))
                    own.pop(name.removeprefix(table.PROPERTY), None)
                else:
                    masks[record["row"]] |= 1 << bit
        texts = {row: msgspec.json.encode(own, order="sorted").decode() for row, own in properties.items()}
        return [(row, mask, texts.get(row)) for row, mask in masks.items() if mask or row in texts]

    def _left_behind(
        self, looks: list[Look], records: Sequence[Mapping[str, Any]], competing: Sequence[int], name: str
    ) -> list[int]:
        """Return the copies that speak for nobody: the records that they were made of do.

        Those of a run that died before it remembered, whatever the others hold by now; and what a CRM has made of a
        value that stands elsewhere as it was.
        """
        present = [n for n in competing if looks[n].value is not None]
        copies = [n for n in present if looks[n].copied and _is_left_behind(records[n], name)]
        made = [n for n in present if looks[n].copied and (records[n][f"w:{name}"] or 0) < _own(0)]
        if made:
            forms = {n: _own(keyed_form(self._key, name, looks[n].value)) for n in present}
            copies += [n for n in made if any(m != n and forms[m] == records[n][f"w:{name}"] for m in present)]
        copies = list(dict.fromkeys(copies))
        return copies if len(copies) < len(present) else []

    def _date(self, looks: list[Look], records: Sequence[Mapping[str, Any]], name: str, winner: int) -> None:
        """Let what a run copied which died before it remembered be as old as the edit that it is a copy of.

        The next run may not see the record that was edited, and another one that was not. Nor is a new record that wins
        a new one to the next run, which may have to write what this one could not.
        """
        edit = looks[winner]
        if edit.value is None:
            return
        for n, (look, record) in enumerate(zip(looks, records, strict=True)):
            copied = edit.edited and look.copied and _is_left_behind(record, name) and same_value(look, edit)
            if copied or (n == winner and not edit.edited):
                times = {"after": edit.after, "until": edit.until}
                self.dated.append({"row": record["row"], "field": name, **times})

    def _barred(self, source: str) -> frozenset[str]:
        allowed = self._policy.allow.get(source)
        return frozenset() if allowed is None else frozenset(name for name in table.FIELDS if name not in allowed)

    def _look(self, record: Mapping[str, Any], name: str) -> Look:
        value, before = record[f"v:{name}"], record[f"h:{name}"]
        order = self._policy.priority
        source = str(record["source"])
        place = (
            order.index(source) if source in order else len(order),
            source, str(record["source_scope"]), str(record["source_id"]),
        )  # fmt: skip
        if record["new"]:
            made = record["updated_at"] or record["created_at"] or self._now
            since = self._since
            if record["first_look"] and not (since and record["created_at"] and record["created_at"] > since):
                # It may have been there all along, and says nothing against what people have done since.
                return Look(value, until=made, place=place)
            made_since = since is None or made > since or record["created_at"] is None
            return Look(value, after=since if made_since else None, until=made, new=True, place=place)
        now = keyed(self._key, name, value)
        until = record[f"u:{name}"]
        if now == before or before == table.UNSEEN or not self.was_read(source, name):
            copied = record[f"w:{name}"] is not None
            return Look(
                value, record[f"a:{name}"], until or record["at"], edited=until is not None, place=place, copied=copied
            )
        # What a run has written there it wrote once the change that it copied was made.
        copied_at = until if record[f"w:{name}"] is not None else None
        seen = self._seen(record, name)
        known = [moment for moment in (seen, record[f"a:{name}"], copied_at) if moment is not None]
        after, changed = max(known, default=None), self._changed_until(record, seen)
        return Look(value, after, changed, edited=True, fresh=True, place=place)

    def _reformatted(self, looks: list[Look], records: Sequence[Mapping[str, Any]], name: str) -> list[Look]:
        """Take for no change what a CRM has made of a value: it keeps it in a form of its own, or as another type."""
        for n, (look, record) in enumerate(zip(looks, records, strict=True)):
            if look.fresh and self._is_retyped(record, name, look.value):
                self.reformatted.setdefault(record["row"], []).append(name)
                until = record[f"u:{name}"] if look.value else None
                looks[n] = replace(
                    look, after=record[f"a:{name}"], until=until or record["at"], edited=until is not None, fresh=False
                )
                continue
            # What was looked at since the write has no form to compare with.
            if not look.fresh or not look.value or not (written := record[f"w:{name}"]):
                continue
            form = keyed_form(self._key, name, look.value)
            # What was changed since the write says nothing of it, nor does what was copied since.
            if written in (form, _own(form)) or (
                written > 0
                and any(
                    same_but_for_form(look.value, other.value)
                    for m, other in enumerate(looks)
                    if m != n and not other.fresh and not _is_left_behind(records[m], name)
                )
            ):
                self.reformatted.setdefault(record["row"], []).append(name)
                until = record[f"u:{name}"]
                looks[n] = replace(
                    look, after=record[f"a:{name}"], until=until or record["at"], edited=until is not None, fresh=False,
                    copied=True,
                )  # fmt: skip
        return looks

    def _is_retyped(self, record: Mapping[str, Any], name: str, value: str | None) -> bool:
        """Tell whether a value may be another one because the property is of another type, or has lost its option."""
        place = (str(record["source"]), str(record["source_scope"]), name)
        return place in self._retyped.of_kind or (value is None and place in self._retyped.of_options)

    def _dated(self, looks: list[Look], records: Sequence[Mapping[str, Any]], name: str) -> list[Look]:
        """Date what a run that died had seen: it copied the value before anything that was done there since."""
        copies = {record[f"h:{name}"]: record[f"a:{name}"] for record in records if _is_left_behind(record, name)}
        if not copies:
            return looks
        copied = [
            copies.get(keyed(self._key, name, look.value)) if look.fresh and look.value else None for look in looks
        ]
        return [
            look if at is None or look.until is None else replace(look, until=min(look.until, at))
            for look, at in zip(looks, copied, strict=True)
        ]

    def was_read(self, source: str, name: str) -> bool:
        if (source, name) in self._result.vanished:
            return False
        if source in self._files and not name.startswith(table.PROPERTY):
            # A column that a file hasn't says nothing.
            return name in self._files[source].fields
        return has_read(self._reads, source, name)

    def _seen(self, record: Mapping[str, Any], name: str) -> datetime | None:
        """Return when a field was surely seen last, before now."""
        seen: datetime | None = record["seen"]
        gap = self._gaps.get(name, {}).get((record["source"], record["source_scope"]))
        if gap is None or seen is None or (gap.again and record["row_seen"] and record["row_seen"] >= gap.again):
            return seen
        return min(seen, gap.until)

    def _changed_until(self, record: Mapping[str, Any], seen: datetime | None) -> datetime:
        at = record["updated_at"]
        return at if at is not None and seen is not None and seen < at < self._now else self._now

    def _count(self, source: str, name: str, look: Look) -> None:
        self._result.counts["cleared" if look.value is None else "edits"] += 1
        fields = self._result.edits.setdefault(source, {})
        fields[name] = fields.get(name, 0) + 1

    def _note(self, records: list[dict[str, Any]], looks: list[Look], name: str, winner: int, verdict: Verdict) -> None:
        look, record = looks[winner], records[winner]
        identity = {part: record[part] for part in ("source", "source_scope", "source_id")}
        kind = {BOTH_CHANGED: "both_changed", CLEARED: "spread"}.get(verdict.rule or "", "edit")
        if look.value is None:
            kind = "spread"
        fact = {**identity, "kind": kind, "field": name, "after": look.after, "until": look.until, "fresh": look.fresh}
        self.facts.append(fact)
        if verdict.rule is None:
            return
        candidates = [
            {
                "place": 0 if n == winner else 1, "source": other["source"], "source_scope": other["source_scope"],
                "source_id": other["source_id"], "updated_at": looks[n].until, "value": looks[n].value,
            }
            for n, other in enumerate(records)
            if n == winner or looks[n].value is not None or looks[n].fresh
        ]  # fmt: skip
        candidates.sort(key=lambda c: (c["place"], c["source"], c["source_scope"], c["source_id"]))
        self.conflicts.append(
            {
                **identity, "field": name, "winner": look.value, "rule": verdict.rule, "candidates": candidates,
            }
        )  # fmt: skip


def _own(form: int) -> int:
    """Return what stands for the form of a value of which a CRM has made another one."""
    return -1 - form


def _is_left_behind(record: Mapping[str, Any], name: str) -> bool:
    return record[f"a:{name}"] is not None and record[f"u:{name}"] is None
