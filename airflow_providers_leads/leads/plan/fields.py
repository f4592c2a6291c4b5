"""What a destination's fields are filled with: golden fields, properties, constants and defaults, by a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from airflow_providers_leads.leads.files.staging import as_path
from airflow_providers_leads.leads.files.yaml_text import YamlTextError, read_yaml
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, Lead, text
from airflow_providers_leads.leads.plan.mapped import find_property
from airflow_providers_leads.leads.plan.property_types import PROPERTY, TEXT, PropertyTypes, Unconvertible, value_text

Only = Literal["create", "empty"]
_MOST_BYTES: Final = 256 * 1024
_MOST_OPTIONS: Final = 20


class FieldRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """What one field of a destination is filled with.

    :param source: a field of golden records, or a path into their properties (``properties.utmParams.utm_source``,
        where ``properties.`` may be left out)
    :param constant: a value that all records get
    :param default: the value where ``source`` has none
    :param only: ``create`` writes it to new records alone, ``empty`` where the destination has nothing; default always
    :param back: true: a value that otherwise only goes on, such as a lifecycle stage, may go back to an earlier one
    :param owner: true: the value is the address of a user of the destination, and the user's id is written. Properties
        that are known to hold owners take addresses and ids in any case
    """

    source: str | None = None
    constant: str | int | float | bool | None = None
    default: str | int | float | bool | None = None
    only: Only | None = None
    back: bool = False
    owner: bool = False

    def __post_init__(self) -> None:
        if (self.source is None) == (self.constant is None):
            raise ValueError("give one of 'from' and 'constant'")
        if self.constant is not None and self.default is not None:
            raise ValueError("'default' is for 'from'; a constant needs none")
        if "" in (self.constant, self.default, self.source):
            raise ValueError("an empty text writes nothing: leave the entry out")


Rules = Mapping[str, FieldRule]
"""A destination's field → what it is filled with."""


def field_rules(value: Any, path_of: Callable[[str], Any] = as_path) -> dict[str, FieldRule]:
    """Return a table of fields.

    :param value: a mapping of the destination's field → golden field or property, or what :class:`FieldRule` takes; the
        URI of a ``.yaml`` file with one, perhaps below ``fields``; or ``None``
    :param path_of: URI or path → path object
    :raises ValueError: naming the entry that is wrong
    """
    if isinstance(value, str):
        return _of_yaml(path_of(value))
    return {} if value is None else _rules(value, lambda name: "fields")


def _rules(value: Any, place: Callable[[str], str]) -> dict[str, FieldRule]:
    """Return a table, whose messages begin with what names the place of an entry."""
    if isinstance(value, Mapping) and set(value) == {"fields"} and isinstance(value["fields"], Mapping):
        value = value["fields"]
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{place('')} must be a mapping such as {{'lifecyclestage': {{'constant': 'lead', 'only': 'create'}}}}"
        )
    return {str(name): _rule(str(name), entry, place(str(name))) for name, entry in value.items()}


def _rule(name: str, entry: Any, place: str) -> FieldRule:
    if not isinstance(entry, (str, Mapping)):
        raise ValueError(f"{place}: {name!r} must be the name of a golden field or property, or a mapping")
    entry = {"from": entry} if isinstance(entry, str) else entry
    known = ("from", "constant", "default", "only", "back", "owner")
    for key in entry:
        if key not in known:
            raise ValueError(f"{place}: {name!r} has the unknown entry {key!r}{nearest(str(key), known)}")
    if (only := entry.get("only")) not in (None, *get_args(Only)):
        raise ValueError(f"{place}: {name!r}: only must be {' or '.join(get_args(Only))}, not {only!r}")
    try:
        return msgspec.convert(dict(entry), FieldRule)
    except msgspec.ValidationError as error:
        raise ValueError(f"{place}: {name!r}: {error}") from None


def _of_yaml(path: Any) -> dict[str, FieldRule]:
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise ValueError(f"fields: {path} is larger than {_MOST_BYTES // 1024} KiB")
        table, lines = read_yaml(content.decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"fields: {path} can't be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise ValueError(f"fields: {path} is not UTF-8") from None
    except YamlTextError as error:
        raise ValueError(f"fields: {path}, line {error.line}: {error}") from None

    def place(name: str) -> str:
        line = lines.get((name,)) or lines.get(("fields", name))
        return f"fields: {path}, line {line}" if line else f"fields: {path}"

    return _rules(table, place)


def with_owners(rules: Rules, types: PropertyTypes) -> dict[str, FieldRule]:
    """Return a table in which a property of owners takes owners, whether the table says so or not.

    :param rules: see :func:`check_rules`
    :param types: what the destination's values mean
    """
    return {
        name: msgspec.structs.replace(rule, owner=True) if types.known.get(name, TEXT).of_owner else rule
        for name, rule in rules.items()
    }


def _owner(value: Any, owners: Mapping[str, str]) -> str:
    """Return the id of an owner.

    :param value: their address or id
    :param owners: address → id, an empty one where several have the address
    :raises Unconvertible: saying why there is none
    """
    words = (value_text(value) or "").strip().lower()
    if words in owners.values() and words:
        return words
    if words not in owners:
        raise Unconvertible("no user who can own records has that address or id")
    if not owners[words]:
        raise Unconvertible("several users have that address: give the id of one")
    return owners[words]


def check_rules(rules: Rules, types: PropertyTypes, owners: Mapping[str, str], label: str) -> None:
    """Refuse constants and defaults that a destination can't hold.

    :param rules: by lead field, or by ``properties.`` + the destination's own field
    :param types: what the destination's values mean
    :param owners: address of a user → id
    :param label: names the connection
    :raises ValueError: naming the field, and the options that there are
    """
    for name, rule in rules.items():
        for value in (rule.constant, rule.default):
            if value is None:
                continue
            shown = name.removeprefix(PROPERTY)
            if rule.owner:
                try:
                    _owner(value, owners)
                except Unconvertible as error:
                    raise ValueError(f"{label}: fields: {shown!r}: {error}") from None
                continue
            try:
                types.convert(name, value)
            except Unconvertible as error:
                options = types.known[name].options if name in types.known else {}
                listed = f". Its options are {', '.join(list(options)[:_MOST_OPTIONS])}" if options else ""
                raise ValueError(f"{label}: fields: {value!r} can't be written to {shown!r}: {error}{listed}") from None


def ruled_values(
    golden: Lead, rules: Rules, types: PropertyTypes, owners: Mapping[str, str], met: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a table gives for one person, by lead field and ``properties.`` + name, and why others give nothing.

    :param golden: the golden record
    :param rules: see :func:`check_rules`
    :param types: what the destination's values mean
    :param owners: address of a user → id
    :param met: names that golden records have values for; those of this one are added
    """
    decoded: dict[str, Any] | None = None
    values: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name, rule in rules.items():
        value: Any = rule.constant
        try:
            if rule.source is not None:
                if rule.source not in PROFILE_FIELDS and decoded is None:
                    decoded = msgspec.json.decode(golden.properties) if golden.properties else {}
                value = _source_value(golden, rule.source, decoded or {})
                if value is None:
                    value = rule.default
                else:
                    met.add(rule.source)
            if value is None:
                continue
            if rule.owner:
                value = _owner(value, owners)
            if written := types.convert(name, value):
                values[name] = written
        except Unconvertible as error:
            left_out[name] = str(error)
    return values, left_out


def _source_value(golden: Lead, source: str, properties: Mapping[str, Any]) -> Any:
    if source in PROFILE_FIELDS:
        return text(getattr(golden, source))
    return find_property(properties, source.removeprefix(PROPERTY))


def may_write(rule: FieldRule, now: str | None) -> bool:
    """Tell whether a field of an existing record is written.

    :param rule: of the field
    :param now: its value
    """
    return rule.only is None or (rule.only == "empty" and not now)


def property_sources(rules: Rules) -> set[str]:
    """Return the golden properties that a table reads, by their keys."""
    return {name.removeprefix(PROPERTY) for name in sources_of(rules) - set(PROFILE_FIELDS)}


def sources_of(rules: Rules) -> set[str]:
    """Return the golden fields and properties that a table reads."""
    return {rule.source for rule in rules.values() if rule.source is not None}
