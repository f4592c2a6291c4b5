"""Which value survives: golden records, their lineage and the conflicts, as portable relational expressions.

A *ranked* table has, besides the columns of a lead: ``golden_key`` (the address of the person it belongs to), ``rank``
(0 is best by the policy's order), ``member_count``, and where a rule needs it another order. Where leads have numbers
(``row``) there is ``first_row``, the number of the person's best record, which is quicker to group by than a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt

from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.merge.policy import FieldPolicy, MergePolicy
from airflow_providers_leads.leads.model.properties import may_tell_aliases, properties_udf
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, PROFILE_FIELDS, STICKY_FIELDS

GOLDEN_SOURCE: Final = "golden"
# Above any number of records of one person, so that one number holds "this first, then the usual order".
_STEP: Final = 1 << 32
# Columns of a ranked table that are no lead's: what there is to know of a row's place.
_PLACE: Final = (
    "rank",
    "rank_newest",
    "first_row",
    "golden_key",
    "member_count",
    *(f"{f}_votes" for f in PROFILE_FIELDS),
)


def ranked(
    leads: ibis.Table, policy: MergePolicy, *, by_address: bool, repeated: bool, nameless: bool = False
) -> ibis.Table:
    """Return leads with their place among the records of their person.

    :param leads: rows with ``person`` besides the columns of a lead
    :param policy: gives the order
    :param by_address: true when ``person`` is ``email_key``
    :param repeated: true when some record was read twice; its readings are then told apart by content
    :param nameless: true when people may have records without an address
    """
    ties = [leads[name] for name in RECORD] + ([_content(leads)] if repeated else [])
    extra: dict[str, Any] = {}
    rules = {field: each.rule for field, each in policy.by_field().items()}
    if "newest" in rules.values() and policy.priority:
        extra["rank_newest"] = _row_number(leads, _newest(leads), _priority(leads, policy), *ties)
    for field, rule in rules.items():
        if rule == "most_common":
            extra[f"{field}_votes"] = leads[field].count().over(group_by=[leads.person, leads[field]])
    # Of a person's addresses the one that somebody gave last is theirs, so its record comes first.
    given_last = [leads.readdressed.desc()] if "readdressed" in leads.columns else []
    order = [*given_last, _priority(leads, policy), _newest(leads), *ties]
    if not by_address:
        # Where all have an address the order stays that of the rank, and one sort does both.
        first = _by_person(leads, *([leads.email_key.isnull()] if nameless else []), *order)
        extra["golden_key"] = leads.email_key.first(include_null=True).over(first)
    if "row" in leads.columns:
        extra["first_row"] = leads.row.first().over(_by_person(leads, *order))
    placed = leads.mutate(
        rank=_row_number(leads, *order),
        member_count=leads.count().over(group_by=leads.person),
        **extra,
    )
    return placed.rename(golden_key="person") if by_address else placed.drop("person")


def places(placed: ibis.Table) -> ibis.Table:
    """Return of ranked leads with numbers only these and the places, for a join back to the leads.

    Sorting that little is done in half the time, and in memory.

    :param placed: ranked leads
    """
    return placed.select("row", *(name for name in _PLACE if name in placed.columns))


def _priority(leads: ibis.Table, policy: MergePolicy) -> Any:
    listed = [(leads.source == source, place) for place, source in enumerate(policy.priority)]
    return ibis.cases(*listed, else_=len(listed)) if listed else ibis.literal(0)


def _newest(leads: ibis.Table) -> Any:
    return leads.updated_at.desc(nulls_first=False)


def _row_number(leads: ibis.Table, *order: Any) -> Any:
    return ibis.row_number().over(_by_person(leads, *order))


def _by_person(leads: ibis.Table, *order: Any) -> Any:
    return ibis.window(group_by=leads.person, order_by=list(order))


def _content(leads: ibis.Table) -> Any:
    """Return a record's content as one text whose order is that of its fields; nothing comes after everything."""
    first, *others = [leads[name].fill_null("\U0010ffff") for name in ("email", *PROFILE_FIELDS, "properties")]
    for text in others:
        first = first + "\x1f" + text
    return first


def order_of(table: ibis.Table, field: str, how: FieldPolicy) -> Any:
    """Return the number by which the records of a person compete for a field; the least wins."""
    by_time = how.rule == "newest" and "rank_newest" in table.columns
    usual = table.rank_newest if by_time else table["rank"]
    if how.rule == "longest":
        return table["rank"] - table[field].length().cast("int64") * _STEP
    if how.rule == "most_common":
        return table["rank"] - table[f"{field}_votes"] * _STEP
    if how.group:
        # A record that has the group's leading field comes before one that has only others of it.
        return usual + table[how.group[0]].isnull().cast("int64") * _STEP
    return usual


def may_win(table: ibis.Table, field: str, how: FieldPolicy) -> Any:
    """Return whether a record may give a person the value of a field, which within a group can be an absent one."""
    fields = how.group or (field,)
    present = table[fields[0]].notnull()
    for other in fields[1:]:
        present = present | table[other].notnull()
    return present & ~table.source.isin(how.barred) if how.barred else present


@cache
def _duckdb_arg_min(*, filtered: bool) -> Any:
    def arg_min(value: str, order: int) -> str:
        raise AssertionError("runs in DuckDB only")

    def arg_min_where(value: str, order: int, where: bool = True) -> str:
        raise AssertionError("runs in DuckDB only")

    return ibis.udf.agg.builtin(arg_min_where if filtered else arg_min, name="arg_min")


def _least(value: Any, order: Any, where: Any, *, duckdb: bool) -> Any:
    """Return the value at the least order; ``where`` must leave out absent values."""
    if not duckdb:
        return value.argmin(order, where=where)
    # Ibis turns argmin into a sorted aggregate on DuckDB, at about twice the price of the function made for it. That
    # one passes over absent values by itself: a filter that says only so would cost half as much again.
    if where.equals(value.notnull()):
        return _duckdb_arg_min(filtered=False)(value, order)
    return _duckdb_arg_min(filtered=True)(value, order, where=where)


def golden(table: ibis.Table, policy: MergePolicy, *, lineage: bool, duckdb: bool = False) -> ibis.Table:
    """Return one row per person in the form of a lead, plus ``member_count``.

    :param table: ranked leads
    :param policy: decides between differing values
    :param lineage: true adds ``lineage``, which gives for each field the ``rank`` of the member that won, ``None``
        where the person has no value
    :param duckdb: true uses a function of DuckDB's that gives the same at half the price
    """
    fields = policy.by_field()
    wins = {field: (may_win(table, field, how), order_of(table, field, how)) for field, how in fields.items()}
    columns: dict[str, Any] = {
        # Within a group the winner's absent value counts as well.
        field: table[field].argmin(order, where=may)
        if fields[field].group
        else _least(table[field], order, may, duckdb=duckdb)
        for field, (may, order) in wins.items()
    }
    columns |= {field: table[field].any() for field in STICKY_FIELDS}
    usable = table.email_key.notnull()
    columns |= {
        "email": _least(table.email, table["rank"], usable, duckdb=duckdb),
        "created_at": table.created_at.min(),
        "updated_at": table.updated_at.max(),
        "properties": _least(table.properties, table["rank"], table.properties.notnull(), duckdb=duckdb),
        "member_count": table.count(),
    }
    told = ibis.struct({"rank": table["rank"], "properties": table.properties})
    naming = may_tell_aliases(table.properties)
    columns["told"] = told.collect(where=table.properties.notnull() if policy.properties == "merge" else naming)
    if lineage:
        columns |= {f"{field}_from": _winner(table, field, *wins[field], how) for field, how in fields.items()}
    key = "golden_key"
    if "first_row" in table.columns:
        key, columns["golden_key"] = "first_row", _least(table.email_key, table["rank"], usable, duckdb=duckdb)
    merged = table.group_by(key).aggregate(**columns)
    fixed = _named(merged.golden_key)
    texts = merged.told.sort().map(lambda told: told["properties"])
    if policy.properties == "winner":
        # Spark calls the function with what another branch decides, too: never with a null among the texts.
        best_first = ibis.array([merged.properties.fill_null("{}")]).concat(texts)
        fixed["properties"] = (texts.length() > 0).ifelse(properties_udf("winner")(best_first), merged.properties)
    else:
        # Most people have one set of properties at most: only the choice of a case is computed, not what it decides
        # between, so few lists are looked into and fewer decoded.
        differ = texts.unique().length() > 1
        merged_texts = differ.ifelse(properties_udf("merge")(texts), merged.properties)
        fixed["properties"] = (merged.told.length() > 1).ifelse(merged_texts, merged.properties)
    if lineage:
        fixed["lineage"] = ibis.struct({field: merged[f"{field}_from"] for field in PROFILE_FIELDS})
    return merged.mutate(**fixed).select(*LEAD_COLUMNS, "member_count", *fixed.keys() & {"lineage"})


def golden_of_one(table: ibis.Table, policy: MergePolicy, *, lineage: bool) -> ibis.Table:
    """Return what :func:`golden` does, of people with one record: all that it may say, with nothing to compare.

    :param table: ranked leads
    :param policy: says which sources have a say
    :param lineage: as in :func:`golden`
    """
    fixed = _named(table.email_key)
    told = {
        field: table.source.isin(how.barred).ifelse(None, table[field]) if how.barred else table[field]
        for field, how in policy.by_field().items()
    }
    if lineage:
        won = {field: value.notnull().ifelse(table["rank"], None) for field, value in told.items()}
        fixed["lineage"] = ibis.struct(won)
    return table.mutate(**told, **fixed).select(*LEAD_COLUMNS, "member_count", *fixed.keys() & {"lineage"})


def _named(golden_key: Any) -> dict[str, Any]:
    columns = {"source": ibis.literal(GOLDEN_SOURCE), "source_scope": ibis.literal("")}
    return {**columns, "source_id": golden_key, "email_key": golden_key}


def _winner(table: ibis.Table, field: str, may: Any, order: Any, how: FieldPolicy) -> Any:
    rank = table["rank"]
    if how.group:
        # Of the record that gives the group its values, this one may be absent, and comes from nowhere then.
        return table[field].notnull().ifelse(rank, None).argmin(order, where=may)
    # In the usual order the winner's rank is the least, which is cheaper to find.
    return rank.min(where=may) if order.equals(rank) else rank.argmin(order, where=may)


@cache
def _duckdb_hash() -> Any:
    def hash_of(value: str) -> int:
        raise AssertionError("runs in DuckDB only")

    return ibis.udf.scalar.builtin(hash_of, name="hash", signature=((dt.string,), dt.uint64))


def _differs(value: Any, may: Any, *, duckdb: bool) -> Any:
    """Return whether those of a person's values that have a say are not all one."""
    if not duckdb:
        return value.min(where=may) != value.max(where=may)
    # Numbers are compared in less than half the time of texts; two texts of one person share all 64 bits of theirs once
    # in many million times the people there are.
    number = (may & value.notnull()).ifelse(_duckdb_hash()(value), None)
    return number.min() != number.max()


def disputed(table: ibis.Table, policy: MergePolicy, *, duckdb: bool = False) -> ibis.Table:
    """Return the ranked leads of people about whom records disagree, agreed values blanked.

    :param table: ranked leads
    :param policy: says which sources have a say
    :param duckdb: as in :func:`golden`
    """
    several = table.filter(table.member_count > 1)
    fields = policy.by_field()
    said = {field: (may_win(several, field, how), several[field]) for field, how in fields.items()}
    key = "first_row" if "first_row" in several.columns else "golden_key"
    differs = several.group_by(key).aggregate(
        **{f"{field}_differs": _differs(value, may, duckdb=duckdb) for field, (may, value) in said.items()}
    )
    some = differs[f"{PROFILE_FIELDS[0]}_differs"]
    for field in PROFILE_FIELDS[1:]:
        some = some | differs[f"{field}_differs"]
    joined = several.inner_join(differs.filter(some), key)
    return joined.mutate(
        **{
            field: (joined[f"{field}_differs"] & may_win(joined, field, how)).ifelse(joined[field], None)
            for field, how in fields.items()
        },
        **{f"{field}_order": order_of(joined, field, how) for field, how in _own_order(fields).items()},
        **{f"{field}_absent": _absent_winner(joined, field, how) for field, how in fields.items() if how.group},
    )


def _absent_winner(joined: ibis.Table, field: str, how: FieldPolicy) -> Any:
    """Return whether a record gives the group of a disputed field its values, but has none for the field itself."""
    place = may_win(joined, field, how).ifelse(order_of(joined, field, how), None)
    best = place.min().over(group_by=joined.golden_key)
    return joined[f"{field}_differs"] & joined[field].isnull() & (place == best)


def _own_order(fields: Mapping[str, FieldPolicy]) -> dict[str, FieldPolicy]:
    """Return the fields about which the usual order doesn't decide."""
    return {field: how for field, how in fields.items() if how.rule != "priority" or how.group}


def conflicts(table: ibis.Table, policy: MergePolicy) -> ibis.Table:
    """Return one row per person and field whose present values differ: the winner, the rule, all candidates.

    The winner is what the golden row holds. Of a group that survives together this can be the absent value of the
    record that gave the others; that record is then the first candidate.

    :param table: from :func:`disputed`
    :param policy: decided between them
    """
    fields = policy.by_field()
    own = _own_order(fields)
    long = table.pivot_longer(list(PROFILE_FIELDS), names_to="field", values_to="value")
    said = long.value.notnull()
    for field in (field for field, how in fields.items() if how.group):
        said = said | ((long.field == field) & long[f"{field}_absent"])
    long = long.filter(said)
    orders = [(long.field == field, long[f"{field}_order"]) for field in own]
    long = long.mutate(place=ibis.cases(*orders, else_=long["rank"]) if orders else long["rank"])
    candidate = {name: long[name] for name in ("place", *RECORD, "updated_at", "value")}
    found = long.group_by("golden_key", "field").aggregate(candidates=ibis.struct(candidate).collect())
    found = found.mutate(candidates=found.candidates.sort())
    best = found.candidates[0]
    by_order = _deciding(found.candidates, policy)
    rules = [(found.field == field, "group" if how.group else how.rule) for field, how in own.items()]
    return found.mutate(
        email_key=found.golden_key,
        winner=best["value"],
        winner_source=best["source"],
        winner_scope=best["source_scope"],
        winner_id=best["source_id"],
        rule=ibis.cases(*rules, else_=by_order) if rules else by_order,
    ).select("email_key", "field", "winner", "winner_source", "winner_scope", "winner_id", "rule", "candidates")


def _deciding(candidates: Any, policy: MergePolicy) -> Any:
    """Return what put the first candidate before the next one of another value: source, time, or neither."""
    best = candidates[0]
    rival = candidates.filter(lambda candidate: ~candidate["value"].identical_to(best["value"]))[0]
    timed = best["updated_at"].notnull() & (rival["updated_at"].isnull() | (best["updated_at"] > rival["updated_at"]))
    by_time = timed.ifelse("newest", "source")
    if not policy.priority:
        return by_time
    rank = {source: place for place, source in enumerate(policy.priority)}

    def place(candidate: Any) -> Any:
        return ibis.cases(*((candidate["source"] == source, at) for source, at in rank.items()), else_=len(rank))

    return (place(best) != place(rival)).ifelse("priority", by_time)
