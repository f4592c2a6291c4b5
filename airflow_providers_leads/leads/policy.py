"""Which value survives when several CRMs know the same person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec

from airflow_providers_leads.leads.schema import PROFILE_FIELDS

Rule = Literal["priority", "newest", "longest"]
RULES: Final[tuple[str, ...]] = ("priority", "newest", "longest")


class PolicyError(ValueError):
    """A merge policy can't be used; the message names the entry."""


class MergePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How golden records are made.

    Per field the first present value wins in the order: source priority, newest ``updated_at`` (unknown last), source,
    scope, id. That order is total, so the result depends on no input order.

    :param priority: sources, best first; sources that aren't listed come after them, on a par; default none
    :param fields: field → rule that differs for it: ``priority`` (the order above), ``newest`` (time before source
        priority) or ``longest`` (length before that order)
    :param allow: source → the only fields that it may set; sources that aren't listed may set all
    """

    priority: tuple[str, ...] = ()
    fields: dict[str, str] = {}
    allow: dict[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        for name in [*self.fields, *(f for fields in self.allow.values() for f in fields)]:
            if name not in PROFILE_FIELDS:
                raise PolicyError(f"merge policy: unknown field {name!r}; the fields are {', '.join(PROFILE_FIELDS)}")
        for name, rule in self.fields.items():
            if rule not in RULES:
                raise PolicyError(
                    f"merge policy: field {name!r} has the unknown rule {rule!r}; the rules are {', '.join(RULES)}"
                )

    def rule(self, field: str) -> Rule:
        """Return the rule that decides a field."""
        return cast(Rule, self.fields.get(field, "priority"))

    def barred_sources(self, field: str) -> tuple[str, ...]:
        """Return the sources that may not set a field."""
        return tuple(source for source, fields in self.allow.items() if field not in fields)


def policy_from(value: MergePolicy | Mapping[str, Any] | None) -> MergePolicy:
    """Return a policy from a mapping, as DAG files and templates give it.

    :raises PolicyError: naming the entry that is wrong
    """
    if value is None:
        return MergePolicy()
    if isinstance(value, MergePolicy):
        return value
    try:
        return msgspec.convert(value, MergePolicy)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, PolicyError):
            raise error.__cause__ from None
        raise PolicyError(f"merge policy: {error}") from None
