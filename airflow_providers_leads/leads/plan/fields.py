"""What a destination's fields are filled with: golden fields, properties, constants and defaults, by a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from airflow_providers_leads.leads.files.staging import as_path
from airflow_providers_leads.leads.files.yaml_text import YamlTextError, read_yaml
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, Lead, text
from airflow_providers_leads.leads.plan.mapped import find_property
from airflow_providers_leads.leads.plan.property_types import PROPERTY, PropertyTypes, Unconvertible, value_text

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
    :param owner: true: the value is the address of a user of the destination, and the user's id is written
    """

    source: str | None = None
    constant: str | int | float | bool | None = None
    default: str | int | float | bool | None = None
    only: Only | None = None
    owner: bool = False

    def __post_init__(self) -> None:
        if (self.source is None) == (self.constant is None):
            raise ValueError("give one of 'from' and 'constant'")
        if self.constant is not None and self.default is not None:
            raise ValueError("'default' is for 'from'; a constant needs none")


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
        value = _from_yaml(path_of(value))
    if value is None:
        return {}
    if isinstance(value, Mapping) and set(value) == {"fields"} and isinstance(value["fields"], Mapping):
        value = value["fields"]
    if not isinstance(value, Mapping):
        raise ValueError("fields must be a mapping such as {'lifecyclestage': {'constant': 'lead', 'only': 'create'}}")
    return {str(name): _rule(str(name), entry) for name, entry in value.items()}


def _rule(name: str, entry: Any) -> FieldRule:
    if isinstance(entry, str):
        return FieldRule(source=entry)
    if not isinstance(entry, Mapping):
        raise ValueError(f"fields: {name!r} must be the name of a golden field or property, or a mapping")
    known = ("from", "constant", "default", "only", "owner")
    for key in entry:
        if key not in known:
            raise ValueError(f"fields: {name!r} has the unknown entry {key!r}{nearest(str(key), known)}")
    try:
        return msgspec.convert(dict(entry), FieldRule)
    except msgspec.ValidationError as error:
        raise ValueError(f"fields: {name!r}: {error}") from None


def _from_yaml(path: Any) -> Any:
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise ValueError(f"fields: {path} is larger than {_MOST_BYTES // 1024} KiB")
        return read_yaml(content.decode("utf-8-sig"))[0]
    except OSError as error:
        raise ValueError(f"fields: {path} can't be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise ValueError(f"fields: {path} is not UTF-8") from None
    except YamlTextError as error:
        raise ValueError(f"fields: {path}, line {error.line}: {error}") from None


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
                if str(value).strip().lower() not in owners:
                    raise ValueError(f"{label}: fields: {shown!r}: no user who can own records has that address")
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
                address = (value_text(value) or "").strip().lower()
                if address not in owners:
                    raise Unconvertible("no user that can own records has this address")
                value = owners[address]
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


def sources_of(rules: Rules) -> set[str]:
    """Return the golden fields and properties that a table reads."""
    return {rule.source for rule in rules.values() if rule.source is not None}
