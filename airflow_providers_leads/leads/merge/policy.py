"""Which value survives when several CRMs know the same person."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import msgspec

from airflow_providers_leads.leads.files.staging import as_path
from airflow_providers_leads.leads.files.yaml_text import Path, YamlTextError, read_yaml
from airflow_providers_leads.leads.model.identity import IdentityRules, RulesError
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS

Rule = Literal["priority", "newest", "longest", "most_common"]
RULES: Final[tuple[str, ...]] = get_args(Rule)
# The other rules look at one field's value; a group survives from one record, which only an order of records decides.
_GROUP_RULES: Final = ("priority", "newest")

_CHOICES: Final = {
    "properties": ("merge", "winner"),
    "cleared": ("keep", "spread"),
    "deleted": ("keep", "recreate"),
    "address": ("keep", "spread"),
}

MAX_POLICY_BYTES: Final = 256 * 1024
"""The largest policy file that is read."""


class PolicyError(RulesError):
    """A merge policy can't be used; the message names the entry, and the file and line where there is one."""


class FieldPolicy(NamedTuple):
    """How one field survives.

    :ivar rule: decides between values
    :ivar group: the fields that survive together with it, itself included, ``None`` when it stands alone
    :ivar barred: sources that may not set it
    """

    rule: Rule
    group: tuple[str, ...] | None
    barred: tuple[str, ...]


class MergePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How golden records are made.

    Per field the first present value wins in the order: source priority, newest ``updated_at`` (unknown last), source,
    scope, id. That order is total, so the result depends on no input order. As YAML, with every entry optional::

        priority: [hubspot, persistiq]      # best first; other sources come after them, on a par
        fields:                             # rules of single fields
          phone: newest                     # time before source priority
          company: longest                  # length before that order
          country: most_common              # the value that most records have
        groups:                             # fields that survive together, from one record
          location: [address, postal_code, city]
        allow:                              # the only fields that a source may set
          perspective: [first_name, last_name, phone]
        cleared: keep                       # with memory: a cleared field stays empty there; or spread: everywhere
        deleted: keep                       # with memory: who was deleted in a CRM stays deleted there; or recreate
        address: keep                       # with memory: a changed address is not written elsewhere; or spread
        properties: merge                   # custom properties: merge by key, or the winner's alone
        identity:                           # who is one person; every rule here is off by default
          plus_tags: true                   # ann+news@x.de is ann@x.de
          gmail_dots: true                  # a.nn@googlemail.com is ann@gmail.com
          domain_aliases:                   # your own domains
            example.com: example.org
          role_addresses: [info, office, test, sales@example.org]
          match_on: [email, phone]
          phone_region: "DE"                # of numbers without a country code
          max_emails_per_phone: 3           # more than these: a switchboard, which joins nobody

    :param priority: sources, best first; sources that aren't listed come after them, on a par; default none
    :param fields: field → rule that differs for it: ``priority`` (the order above), ``newest`` (time before source
        priority), ``longest`` (length before that order) or ``most_common`` (number of records before that order)
    :param groups: name → fields that survive together: all values, absent ones too, are those of the first record in
        the order that has the group's first field, or any of them when no record has the first. A field belongs to one
        group at most; the rule of its fields is ``priority`` or ``newest``, the same for all, and a source may set
        all of them or none
    :param allow: source → the only fields that it may set; sources that aren't listed may set all
    :param properties: custom properties: ``merge`` takes each key, also of objects within them, from the first record
        that has it, ``winner`` takes the whole object of the first record that has one; default ``merge``
    :param cleared: what follows when somebody empties a field in a CRM and the sync remembers it: ``keep`` (default)
        doesn't fill it there again, ``spread`` empties it in the others too
    :param deleted: what follows when somebody deletes a record in a CRM: ``keep`` (default) doesn't make it again
        before the person comes anew, ``recreate`` does
    :param address: what follows when somebody gives a person another address in a CRM: ``keep`` (default) writes it
        nowhere else, because mail goes to it, ``spread`` does
    :param identity: who is one person
    :raises PolicyError: naming the entry that is wrong
    """

    priority: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    allow: dict[str, tuple[str, ...]] = {}
    groups: dict[str, tuple[str, ...]] = {}
    properties: Literal["merge", "winner"] = "merge"
    cleared: Literal["keep", "spread"] = "keep"
    deleted: Literal["keep", "recreate"] = "keep"
    address: Literal["keep", "spread"] = "keep"
    identity: IdentityRules = msgspec.field(default_factory=IdentityRules)

    def __post_init__(self) -> None:
        for name, path in _named_fields(self):
            if name not in PROFILE_FIELDS:
                near = nearest(name, PROFILE_FIELDS)
                raise _error(f"unknown field {name!r}{near}; the fields are {', '.join(PROFILE_FIELDS)}", *path)
        for name, rule in self.fields.items():
            if rule not in RULES:
                near = f"{nearest(rule, RULES)}; the rules are {', '.join(RULES)}"
                raise _error(f"field {name!r} has the unknown rule {rule!r}{near}", "fields", name)
        for place, source in enumerate(self.priority):
            if source in self.priority[:place]:
                raise _error(f"source {source!r} is listed twice", "priority", place)
        for name, (one, other) in _CHOICES.items():
            if (chosen := getattr(self, name)) not in (one, other):
                raise _error(f"{name}: {chosen!r} is neither {one!r} nor {other!r}", name)
        _check_groups(self)

    def by_field(self) -> dict[str, FieldPolicy]:
        """Return how each field survives."""
        together = {name: fields for fields in self.groups.values() for name in fields}
        return {
            name: FieldPolicy(
                rule=cast(Rule, self.fields.get(name, "priority")),
                group=together.get(name),
                barred=tuple(source for source, fields in self.allow.items() if name not in fields),
            )
            for name in PROFILE_FIELDS
        }


def _error(message: str, *path: str | int) -> PolicyError:
    return PolicyError(f"merge policy: {message}", *path)


def _named_fields(policy: MergePolicy) -> Iterator[tuple[str, Path]]:
    for name in policy.fields:
        yield name, ("fields", name)
    for entry in ("allow", "groups"):
        for owner, fields in getattr(policy, entry).items():
            for place, name in enumerate(fields):
                yield name, (entry, owner, place)


def _check_groups(policy: MergePolicy) -> None:
    owners: dict[str, str] = {}
    for group, fields in policy.groups.items():
        if len(fields) < 2:
            raise _error(f"group {group!r} has fewer than two fields", "groups", group)
        for place, name in enumerate(fields):
            if name in owners:
                raise _error(
                    f"field {name!r} is in group {owners[name]!r} and again in {group!r}", "groups", group, place
                )
            owners[name] = group
        _check_group_rule(policy, group, fields)
        for source, allowed in policy.allow.items():
            if 0 < len(set(fields) & set(allowed)) < len(fields):
                raise _error(
                    f"source {source!r} may set some fields of group {group!r} but not all: {', '.join(fields)}",
                    "allow",
                    source,
                )


def _check_group_rule(policy: MergePolicy, group: str, fields: tuple[str, ...]) -> None:
    rules = {name: how.rule for name, how in policy.by_field().items()}
    for name in fields:
        rule = rules[name]
        if rule not in _GROUP_RULES:
            raise _error(
                f"field {name!r} of group {group!r} has the rule {rule!r}; a group survives from one record, so the "
                f"rule of its fields is {' or '.join(_GROUP_RULES)}",
                "fields",
                name,
            )
        if rule != rules[fields[0]]:
            # One of the two is written down; the other has the default.
            written = name if name in policy.fields else fields[0]
            raise _error(
                f"fields {fields[0]!r} and {name!r} of group {group!r} have different rules", "fields", written
            )


def policy_from(value: Any, path_of: Callable[[str], Any] = as_path) -> MergePolicy:
    """Return a policy from what DAG files and templates give.

    :param value: a policy, a mapping, YAML text, the URI or path of a ``.yaml`` or ``.yml`` file, or ``None`` for the
        default policy
    :param path_of: URI or path → path object
    :raises PolicyError: naming the entry that is wrong, and for YAML its line
    """
    if value is None:
        return MergePolicy()
    if isinstance(value, MergePolicy):
        return value
    if isinstance(value, str):
        named = value.strip()
        is_file = "\n" not in named and named.lower().endswith((".yaml", ".yml"))
        return load_policy(path_of(named)) if is_file else _parsed(value)
    return load_policy(value) if hasattr(value, "open") else _converted(value)


def load_policy(uri: Any) -> MergePolicy:
    """Return the policy that a YAML file holds.

    :param uri: URI or path object of a file of at most 256 KiB
    :raises PolicyError: naming the file, and the line of the entry that is wrong
    """
    path = as_path(uri)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise _error(f"{path} can't be read: {error.strerror or type(error).__name__}") from None
    if len(content) > MAX_POLICY_BYTES:
        raise _error(f"{path} is larger than {MAX_POLICY_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(f"{path}, line {line}: is not UTF-8") from None
    return _parsed(text, f"{path}, ")


def _parsed(text: str, named: str = "") -> MergePolicy:
    try:
        document, lines = read_yaml(text)
    except YamlTextError as error:
        raise _error(f"{named}line {error.line}: {error}") from None
    try:
        return _converted(document)
    except PolicyError as error:
        message = str(error).removeprefix("merge policy: ")
        if _UNQUOTED.search(message):
            message += "; text that YAML takes for something else needs quotes"
        raise _error(f"{named}line {_line_of(error.path, lines)}: {message}", *error.path) from None


def _line_of(path: Path, lines: Mapping[Path, int]) -> int:
    # An entry that isn't there is shown at the one around it.
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _converted(value: Any) -> MergePolicy:
    # msgspec takes mappings of any kind but shows the path of dicts only.
    plain = dict(value) if isinstance(value, Mapping) else value
    try:
        return msgspec.convert(plain, MergePolicy)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, PolicyError):
            raise cause from None
        if isinstance(cause, RulesError):
            raise _error(f"identity: {cause}", "identity", *cause.path) from None
        unknown = _UNKNOWN.search(str(error))
        near = nearest(unknown[1], _ENTRIES) if unknown else ""
        raise _error(f"{error}{near}", *_path_of(str(error), plain)) from None


_UNQUOTED: Final = re.compile(r"Expected `[^`]*str[^`]*`, got `(?:bool|int|null)`")
_AT: Final = re.compile(r" - at (?:`(?:key|value)` in )?`\$([^`]*)`$")
_STEP: Final = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")
_ENTRIES: Final = (*MergePolicy.__struct_fields__, *IdentityRules.__struct_fields__)
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")


def _path_of(message: str, document: Any) -> Path:
    """Return where in a document the entry stands that msgspec's message is about."""
    found = _AT.search(message)
    path: list[str | int] = []
    for index, name in _STEP.findall(found.group(1) if found else ""):
        if index == "...":
            # msgspec doesn't say which key of a mapping it was: the one that fails alone in the same way.
            path.append(_failing_key(message, document, path))
        else:
            path.append(name or int(index))
    if unknown := _UNKNOWN.search(message):
        path.append(unknown.group(1))
    return tuple(path)


def _failing_key(message: str, document: Any, path: list[str | int]) -> Any:
    keys = list(_at(document, path))
    for key in keys:
        try:
            msgspec.convert(_with_only(document, path, key), MergePolicy)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return key
    return keys[0]


def _at(document: Any, path: list[str | int]) -> Any:
    for step in path:
        document = document[step]
    return document


def _with_only(document: Any, path: list[str | int], key: Any) -> Any:
    """Return a document that holds nothing but one entry of the mapping at a path."""
    kept: Any = {key: _at(document, [*path, key])}
    for step in reversed(path):
        kept = {step: kept}
    return kept
