"""Who is one person: records joined by address, by secondary addresses, by merged ids and, if asked for, by phone.

Addresses and phones are nodes; a record that knows two of them joins them. A person is what hangs together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import ibis
import msgspec

from airflow_providers_leads.leads.merge.engine import batches, forget, in_memory, keep, scalar
from airflow_providers_leads.leads.model.identity import (
    IdentityRules,
    is_role_address,
    is_role_expr,
    person_key,
    person_key_expr,
)
from airflow_providers_leads.leads.model.phones import phone_keys
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, MERGED_IDS_PROPERTY

if TYPE_CHECKING:
    from airflow_providers_leads.leads.memory.recall import Recall

RECORD: Final = ("source", "source_scope", "source_id")
"""What identifies a record within all CRMs."""

# The last code point: phones sort behind every address, so a person is named by an address if there is one.
_PHONE: Final = "\U0010ffff"
_MAX_ROUNDS: Final = 64
_NAMES: Final = ("given_name", "family_name")


@dataclass(frozen=True, slots=True)
class People:
    """Leads sorted by person.

    :param known: leads with ``person``
    :param rejected: leads that belong to nobody, with ``reason``
    :param shared_phones: phones that join nobody because too many addresses, or people of other names, hang together by
        them: ``phone``, ``emails``
    :param by_address: true when a person is just an address, so that ``person`` is ``email_key``
    :param nameless: true when people may have records without an address, known by a phone or by what is remembered
    """

    known: ibis.Table
    rejected: ibis.Table
    shared_phones: list[dict[str, Any]]
    by_address: bool
    nameless: bool


def sort_by_person(connection: Any, leads: ibis.Table, rules: IdentityRules, recall: Recall | None = None) -> People:
    """Return who each lead belongs to.

    :param connection: the engine
    :param leads: rows with the columns of a lead
    :param rules: what else but the address itself joins records
    :param recall: what a sync remembers of who is one person
    """
    named = alone = leads.mutate(person=person_key_expr(leads.email_key, rules))
    remembered = _remembered_edges(recall, rules) if recall else []
    nameless = recall.nameless() if recall else []
    if nameless:
        # Whose address was removed stays who they are.
        rows, names = zip(*nameless, strict=True)
        known_as = ibis.memtable({"nameless": rows, "known_as": [person_key(name, rules) for name in names]})
        linked = named.left_join(known_as, named.row == known_as.nameless)
        named = linked.mutate(person=ibis.coalesce(linked.person, linked.known_as)).drop("nameless", "known_as")
        alone = named
        remembered = remembered or [("", "")]
    by_phone = "phone" in rules.match_on
    shared: list[dict[str, Any]] = []
    edges: list[Any] = []
    if by_phone:
        # Before what records say of others: those that only a phone names have a say too.
        named, phone_edges, shared = _join_phones(connection, named, rules)
        edges.append(phone_edges)
    edges += _record_edges(connection, named, rules)
    if remembered:
        edges.append(ibis.memtable({"a": [a for a, _ in remembered], "b": [b for _, b in remembered]}))
    if edges:
        together = _components(connection, ibis.union(*edges) if len(edges) > 1 else edges[0])
        linked = named.left_join(together, named.person == together.node)
        named = linked.mutate(person=ibis.coalesce(linked.label, linked.person)).drop("node", "label")
    if by_phone:
        # Records that only a phone and somebody's secondary address name have no address for a golden row.
        addressed = named.email_key.max().over(group_by=named.person).notnull()
        named = named.mutate(person=addressed.ifelse(named.person, None))
    known = named.filter(~_is_nobody(named, rules))
    # Only a phone gives a name to who has none: else the joins above are nothing to those who are nobody.
    unnamed = named if by_phone else alone
    unnamed = unnamed.filter(_is_nobody(unnamed, rules))
    rejected = unnamed.mutate(reason=_reason(unnamed))
    # No role address stands in an edge, so whoever has one is named as before the joins, which this needn't wait for.
    if strangers := _strangers(connection, known if by_phone else alone, rules):
        found = in_memory({"stranger": strangers})
        marked = known.left_join(found, known.person == found.stranger)
        known = marked.filter(marked.stranger.isnull()).drop("stranger")
        glued = marked.filter(marked.stranger.notnull()).mutate(reason=ibis.literal("shared_mailbox"))
        rejected = ibis.union(rejected, glued.select(*rejected.columns))
    changed = edges or rules.plus_tags or rules.gmail_dots or rules.domain_aliases
    return People(
        known=known,
        rejected=rejected,
        shared_phones=shared,
        by_address=not changed,
        nameless=by_phone or bool(nameless),
    )


def _remembered_edges(recall: Recall, rules: IdentityRules) -> list[tuple[str, str]]:
    pairs = [(person_key(one, rules), person_key(other, rules)) for one, other in recall.edges()]
    return [(one, other) for one, other in pairs if one != other]


def _is_nobody(named: ibis.Table, rules: IdentityRules) -> Any:
    nobody = named.person.isnull()
    return nobody | named.person.startswith(_PHONE) if "phone" in rules.match_on else nobody


def _reason(unnamed: ibis.Table) -> Any:
    blank = unnamed.email.isnull() | (unnamed.email.strip() == "")
    # An address that gave no key was refused by the syntax check; no address at all is the other case.
    return blank.ifelse("no_email", "invalid_email")


def _record_edges(connection: Any, named: ibis.Table, rules: IdentityRules) -> list[Any]:
    """Return what single records say of others: secondary addresses, and ids that were merged into them."""

    # Few records have either, so they are read here rather than by an engine's own idea of JSON.
    words = [named.properties.contains(f'"{name}"') for name in (ALIASES_PROPERTY, MERGED_IDS_PROPERTY)]
    some = named.filter(named.person.notnull() & (words[0] | words[1]))
    aliases: dict[str, list[str]] = {"a": [], "b": []}
    merged: dict[str, list[str]] = {"survivor": [], **{f"merged_{name}": [] for name in RECORD}}
    for row in _rows(connection, some.select("person", "properties", *RECORD)):
        told = msgspec.json.decode(row["properties"])
        if is_role_address(row["person"], rules):
            continue
        for alias in told.get(ALIASES_PROPERTY) or ():
            if not is_role_address(key := person_key(str(alias), rules), rules):
                aliases["a"].append(row["person"])
                aliases["b"].append(key)
        for source_id in told.get(MERGED_IDS_PROPERTY) or ():
            merged["survivor"].append(row["person"])
            for name in RECORD:
                merged[f"merged_{name}"].append(str(source_id) if name == "source_id" else row[name])
    edges: list[Any] = []
    if aliases["a"]:
        edges.append(in_memory(aliases))
    if merged["survivor"]:
        old = in_memory(merged)
        found = named.inner_join(old, [named[name] == old[f"merged_{name}"] for name in RECORD])
        found = found.filter(found.person.notnull() & ~is_role_expr(found.person, rules))
        edges.append(found.select(a=found.survivor, b=found.person))
    return edges


def _rows(connection: Any, table: ibis.Table) -> Iterator[dict[str, Any]]:
    for batch in batches(connection, table):
        yield from batch.to_pylist()


def _join_phones(connection: Any, named: ibis.Table, rules: IdentityRules) -> tuple[Any, Any, list[dict[str, Any]]]:
    """Return the leads, those without address named by their phone, the edges from phones, and the shared phones."""
    texts = [row["phone"] for row in _rows(connection, named.filter(named.phone.notnull()).select("phone").distinct())]
    keys = phone_keys(texts, rules.phone_region, extensions=True)
    usable = [(text, key) for text, key in zip(texts, keys, strict=True) if key]
    table = in_memory({"phone_text": [text for text, _ in usable], "phone_node": [_PHONE + key for _, key in usable]})
    joined = named.left_join(table, named.phone == table.phone_text).drop("phone_text")
    joined = keep(connection, _by_name(joined, rules))
    persons = joined.filter(joined.person.notnull() & joined.phone_node.notnull())
    persons = persons.filter(~is_role_expr(persons.person, rules))
    counted = persons.group_by("number").aggregate(emails=persons.person.nunique())
    crowded = list(_rows(connection, counted.filter(counted.emails > rules.max_emails_per_phone)))
    edges = _without(persons.select("number", *_NAMES, a="person", b="phone_node").distinct(), crowded)
    crowded += _in_chains(connection, edges, rules)
    free = joined.number.notin([row["number"] for row in crowded]) if crowded else ibis.literal(True)
    renamed = joined.mutate(person=ibis.coalesce(joined.person, free.ifelse(joined.phone_node, None)))
    shared = [{"phone": row["number"].removeprefix(_PHONE), "emails": row["emails"]} for row in crowded]
    joins = _without(edges, crowded).select("a", "b").distinct()
    return renamed.drop("phone_node", "number", *_NAMES), joins, shared


def _by_name(joined: ibis.Table, rules: IdentityRules) -> ibis.Table:
    """Return leads with ``number``, and with ``phone_node`` such that a phone joins nobody whose names differ.

    Where all first names and all last names that are known with a number are the same, it is one node. Else each whole
    name is one of its own, and who has no name is in none.
    """
    first, last = (joined[name].strip().lower().nullif("") for name in ("first_name", "last_name"))
    # A shared mailbox says nothing about whose phone it is.
    counts = joined.person.isnull() | ~is_role_expr(joined.person, rules)
    marked = joined.mutate(given_name=counts.ifelse(first, None), family_name=counts.ifelse(last, None))
    by_number = ibis.window(group_by=marked.phone_node)
    differ = _differ(marked, lambda value: value.over(by_number))
    # The space keeps a name from running into the number.
    node = marked.phone_node + " " + marked.given_name.fill_null("") + " " + marked.family_name.fill_null("")
    named = marked.given_name.notnull() | marked.family_name.notnull()
    split = differ.ifelse(named.ifelse(node, None), marked.phone_node)
    return marked.mutate(number=marked.phone_node, phone_node=split)


def _differ(table: ibis.Table, over: Callable[[Any], Any] = lambda value: value) -> Any:
    """Return whether several first names, or several last names, are known."""
    one, other = (over(table[name].min()) != over(table[name].max()) for name in _NAMES)
    return one.fill_null(False) | other.fill_null(False)


def _in_chains(connection: Any, edges: ibis.Table, rules: IdentityRules) -> list[dict[str, Any]]:
    """Return the numbers that no chain may lead over: more addresses hang together by them than one number may join,
    or people whose names differ."""
    linked = edges.group_by("b").aggregate(people=edges.a.nunique())
    edges = keep(connection, edges.semi_join(linked.filter(linked.people > 1), "b"))
    labels = _components(connection, edges.select("a", "b"))
    placed = edges.inner_join(labels, edges.a == labels.node)
    found = placed.group_by("label").aggregate(emails=placed.a.nunique(), differ=_differ(placed))
    barred = found.filter((found.emails > rules.max_emails_per_phone) | found.differ)
    return list(_rows(connection, placed.inner_join(barred, "label").select("number", "emails").distinct()))


def _without(edges: ibis.Table, crowded: list[dict[str, Any]]) -> ibis.Table:
    return edges.filter(edges.number.notin([row["number"] for row in crowded])) if crowded else edges


def _components(connection: Any, edges: ibis.Table) -> ibis.Table:
    """Return ``node`` and ``label`` for every node of the edges ``a``–``b``; the label is the least it hangs with.

    Each round what an edge leads to offers its label's label to the node at the other end and to that node's label, and
    every node takes the least offer (the method is known as FastSV). The number of rounds grows with the logarithm of
    the longest chain; handing labels only from node to node would take a round per link.

    :raises ValueError: when it doesn't settle, which only a chain of astronomic length could bring about
    """
    both = keep(connection, ibis.union(edges.select("a", "b"), edges.select(a=edges.b, b=edges.a), distinct=True))
    first = both.group_by("a").aggregate(least=both.b.min())
    kept = labels = keep(connection, first.select(node=first.a, label=ibis.least(first.a, first.least)))
    for _ in range(_MAX_ROUNDS):
        # Joins of a table with what was made of it are by name: Ibis takes both sides of an equation for one.
        heads = labels.select(head=labels.node, further=labels.label)
        ahead = keep(connection, labels.inner_join(heads, [("label", "head")]).select("node", "label", "further"))
        across = both.inner_join(ahead, [("b", "node")])
        offered = across.group_by("a").aggregate(offer=across.further.min())
        near = offered.inner_join(ahead, [("a", "node")])
        offers = ibis.union(
            ahead.select("node", offer=ahead.further),
            near.select("node", "offer"),
            near.select(node=near.label, offer=near.offer),
        )
        taken = offers.group_by("node").aggregate(label=offers.offer.min())
        old = labels.select(was=labels.node, old=labels.label)
        settled = keep(connection, taken.inner_join(old, [("node", "was")]).select("node", "label", "old"))
        forget(connection, ahead)
        forget(connection, kept)
        kept, labels = settled, settled.select("node", "label")
        if scalar(connection, settled.filter(settled.label != settled.old).count()) == 0:
            return labels
    raise ValueError("the records hang together in a chain too long to follow")


def _strangers(connection: Any, named: ibis.Table, rules: IdentityRules) -> list[str]:
    """Return the shared mailboxes behind which different people stand, so that they aren't glued together.

    Records of one mailbox are one person only when all have the same name, or none has any.
    """
    role = named.filter(is_role_expr(named.person, rules))
    name = (role.first_name.fill_null("") + " " + role.last_name.fill_null("")).strip().lower()
    role = role.mutate(full_name=name.nullif(""))
    seen = role.group_by("person").aggregate(
        records=role.count(), with_name=role.full_name.count(), names=role.full_name.nunique()
    )
    mixed = seen.filter((seen.names > 1) | ((seen.names == 1) & (seen.with_name < seen.records)))
    return [row["person"] for row in _rows(connection, mixed.select("person"))]
