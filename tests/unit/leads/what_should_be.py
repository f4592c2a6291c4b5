"""What a sync with a memory must make of what people do: the reference for tables of acts and for random ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from people_at_work import FIELDS, World

Held = dict[str, dict[str, str | None]]
"""CRM → field → value."""

Told = dict[str, list[tuple[Held, Held, set[tuple[str, str]]]]]
"""Person → before and after people's acts, and what the run before had written; one entry per round of acts."""

VALUES = {
    "title": ("Buyer", "Head", "Chief"),
    "phone": ("+49 30 1", "+49 30 2", "+49 30 3"),
    "properties.tier": ("gold", "silver"),
    "properties.born": ("2020-01-01", "2021-02-03", "2022-02-03"),
    "properties.topics": ("a;b", "c", "b;c"),
    "properties.note": ("n", "m", "o"),
}
FIRST = {name: values[0] for name, values in VALUES.items()}


@dataclass
class Person:
    """One person, and where people left them.

    :param ids: CRM → ids of the records that people made or that a run may make; a run makes one where there is none
    :param whole: nothing was done but editing and clearing, so that every value can be foretold
    """

    email: str
    ids: dict[str, set[str]] = field(default_factory=dict)
    before: Held = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    whole: bool = False
    objected: bool = False
    new: bool = True
    met: bool = False
    acts: list[str] = field(default_factory=list)


class Office:
    """People who work in the CRMs of a world, and what must become of it.

    :param world: the CRMs and their sync
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.people: list[Person] = []
        self.crms = sorted(world.crms)

    # What people do ---------------------------------------------------------------------------------------------------

    def comes(self, crm: str, **values: str) -> Person:
        person = Person(f"p{len(self.people)}@people.example")
        self.people.append(person)
        record = self.world[crm].comes(
            person.email, **{**{k.replace(".", "__"): v for k, v in FIRST.items()}, **values}
        )
        person.ids[crm] = {record.id}
        return person

    def edits(self, person: Person, crm: str, name: str, value: str | None) -> None:
        for record in self._of(person, crm)[:1]:
            self.world[crm].set(record, {name: value})
            person.acts.append(f"{crm}.{name}={value}")

    def deletes(self, person: Person, crm: str) -> None:
        for record in self._of(person, crm):
            del self.world[crm].records[record.id]
            if record.id not in self.world.unsure:
                # Of what a run made that died before it wrote down the id nobody knows that it was there.
                person.barred.add(crm)
            person.whole = False
            person.acts.append(f"{crm} deleted")

    def moves(self, person: Person, crm: str, email: str) -> None:
        for record in self._of(person, crm)[:1]:
            if record.id in self.world.unsure:
                # Of what a run made that died before it wrote down the id nobody knows whose it is by another address.
                continue
            if person.new:
                # Nobody has seen the person under another address, but for a run that died and told nobody.
                if person.met:
                    continue
                person.email = email
            self.world[crm].set(record, {"email": email})
            person.acts.append(f"{crm} is {email}")

    def touches(self, person: Person, crm: str) -> None:
        for record in self._of(person, crm)[:1]:
            self.world[crm].set(record, {})

    def goes_on(self) -> None:
        """A run has died: note what it wrote as no act of anybody."""
        self._multiplied()
        for person in self.people:
            person.acts.append("a run died")
            person.before, person.met = self.held(person), True

    def objects(self, person: Person, crm: str) -> None:
        for record in self._of(person, crm)[:1]:
            self.world[crm].set(record, {"opted_out": "true"})
            person.whole, person.objected = False, True
            person.barred |= {name for name in self.crms if not self._of(person, name)}
            person.acts.append(f"{crm} objects")

    def _of(self, person: Person, crm: str) -> list:
        return [r for r in map(self.world[crm].records.get, sorted(person.ids.get(crm, ()))) if r is not None]

    # What must become of it -------------------------------------------------------------------------------------------

    def held(self, person: Person) -> Held:
        one = {crm: self._of(person, crm) for crm in self.crms}
        return {c: {n: rs[0].values.get(n) for n in FIELDS} for c, rs in one.items() if len(rs) == 1}

    def look(self) -> None:
        """Note where all stand: the past of what comes."""
        for person in self.people:
            for crm in self.crms:
                mine = person.ids.setdefault(crm, set())
                if not mine:
                    mine |= {record.id for record in self.world[crm].of(person.email)}
            person.before = self.held(person)
            person.whole = set(person.before) == set(self.crms) and not person.objected
            person.new = False
            person.acts.append("|")

    def foretell(self, then: Told | None = None) -> Told:
        """Return what is known now, by which :meth:`complaints` judges once a run is done.

        :param then: what was known when a run began that died
        """
        told = {}
        for person in self.people:
            if person.whole and (then is None or person.email in then):
                phases = [(person.before, self.held(person), self.copied(person))]
                told[person.email] = [*then[person.email], *phases] if then else phases
        return told

    def copied(self, person: Person) -> set[tuple[str, str]]:
        """Return CRM and field of what the last run wrote of a person."""
        return {
            (crm, name)
            for crm, row in self.world.writes
            if crm in self.world.settled and row.target_id in person.ids.get(crm, ())
            for name in (*row.values, *(f"properties.{name}" for name in row.properties))
        }

    def may_hold(self, phases: list[tuple[Held, Held, set]], crm: str, name: str) -> set[str | None]:
        """Return the values of which one must stand in a CRM.

        :param phases: what was held before and after each time that people worked
        :param crm: where
        :param name: of the field
        """
        last, writable = phases[-1][1], crm in self.world.writable
        may: set[str | None] = {last[crm][name]}
        for number, (before, left, _) in enumerate(phases):
            copied = phases[number + 1][2] if number + 1 < len(phases) else set()
            edited = {c for c in left if left[c][name] and left[c][name] != before[c][name]}
            edits = {left[c][name] for c in edited if last[c][name] == left[c][name]}
            if not writable:
                continue
            if number == 0:
                may = edits or may
                first, dated = edits, {c for c, n in copied if n == name}
            elif edits:
                # What was done where a run had written before is later; of others nobody knows.
                may = edits if edited <= dated else edits | first
            elif last[crm][name] is None and before[crm][name] is not None:
                may = {None} if crm in dated else {None, *first}
        return may

    def complaints(self, told: Told) -> list[str]:
        wrong = self._multiplied()
        for person in self.people:
            if person.email not in told:
                continue
            now = self.held(person)
            for name in FIELDS:
                may = {crm: self.may_hold(told[person.email], crm, name) for crm in self.crms}
                bad = {c: now.get(c, {}).get(name) for c in may if now.get(c, {}).get(name) not in may[c]}
                filled = {now[c][name] for c in self.world.writable if None not in may[c] and len(may[c]) > 1}
                if bad or len(filled) > 1:
                    wrong.append(f"{person.email} {name}: {now}, not {may}: {person.acts}")
        return wrong

    def _multiplied(self) -> list[str]:
        wrong = []
        for crm in self.crms:
            known = {id for person in self.people for id in person.ids.get(crm, ())}
            for record in self.world[crm].records.values():
                person = next((p for p in self.people if record.email == p.email), None)
                if record.id in known:
                    continue
                if person is None or person.ids.get(crm) or crm in person.barred:
                    acts = [
                        p.acts for p in self.people if p is person or any(f"is {record.email}" in act for act in p.acts)
                    ]
                    wrong.append(f"{record.email} once more in {crm}: {acts}")
                else:
                    person.ids[crm] = {record.id}
        return wrong
