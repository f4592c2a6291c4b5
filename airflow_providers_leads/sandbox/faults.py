"""Fault plans: which requests go wrong, and how; written in Python or as YAML.

A plan is a list of rules. The first rule that strikes decides; each counts the requests that it matches, per CRM.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from airflow_providers_leads.leads.files.yaml_text import YamlTextError, read_yaml
from airflow_providers_leads.sandbox.core.shell import Call, Fault
from airflow_providers_leads.sandbox.fault_kinds import CRMS, KINDS, Met

_CHOICES: Final = ("nth", "every", "share")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")
_OPTIONS: Final = frozenset(option for kind in KINDS.values() for option in kind.options)


class FaultPlanError(ValueError):
    """A fault plan can't be used; the message says where and why.

    :ivar entry: the entry of the rule that is at fault
    """

    def __init__(self, message: str, entry: str = "") -> None:
        super().__init__(message)
        self.entry = entry


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a plan: which requests it matches, and which of those it strikes.

    :param fault: a kind of fault, see `fault_kinds`
    :param crm: ``hubspot``, ``perspective`` or ``persistiq``; default every CRM that the fault can happen to
    :param method: HTTP method, default any
    :param path: glob of the path without query, in which ``*`` matches slashes too; default any
    :param nth: strikes these of the matching requests, counted from 1
    :param every: strikes every so many of the matching requests
    :param share: strikes this share of the matching requests, 0 to 1, drawn from the plan's seed
    :param times: strikes so many times at most
    :param options: of the fault, such as ``seconds``
    """

    fault: str
    crm: str | None = None
    method: str | None = None
    path: str = "*"
    nth: tuple[int, ...] = ()
    every: int | None = None
    share: float | None = None
    times: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what would never strike, or not as meant."""
        if self.fault not in KINDS:
            raise FaultPlanError(f"there is no fault {self.fault!r}; there are {', '.join(KINDS)}", "fault")
        kind = KINDS[self.fault]
        if self.crm not in (None, *CRMS):
            raise FaultPlanError(f"crm must be one of {', '.join(CRMS)}", "crm")
        if self.crm and self.crm not in kind.crms:
            raise FaultPlanError(f"{self.fault} happens to {' and '.join(kind.crms)} only", "crm")
        chosen = [name for name in _CHOICES if getattr(self, name) not in (None, ())]
        if len(chosen) > 1:
            raise FaultPlanError(f"{' and '.join(chosen)} can't be given together", chosen[1])
        for name in ("every", "times"):
            if (value := getattr(self, name)) is not None and (type(value) is not int or value < 1):
                raise FaultPlanError(f"{name} must be a whole number of at least 1", name)
        if any(type(number) is not int or number < 1 for number in self.nth):
            raise FaultPlanError("nth must be a whole number of at least 1, or a list of them", "nth")
        if self.share is not None and not 0 < self.share <= 1:
            raise FaultPlanError("share must be more than 0 and at most 100%", "share")
        for name, value in self.options.items():
            if name not in kind.options:
                raise FaultPlanError(f"{self.fault} has no option {name!r}", name)
            if (not isinstance(value, str)) if name == "to" else (type(value) is not int or value < 1):
                expected = "the origin of a host" if name == "to" else "a whole number of at least 1"
                raise FaultPlanError(f"{name} must be {expected}", name)


@dataclass(frozen=True)
class FaultPlan:
    """Rules, and the seed that draws their shares.

    :param rules: in order; the first that strikes a request decides
    :param seed: the same seed strikes the same requests, as long as they come in the same order
    """

    rules: tuple[Rule, ...]
    seed: int = 7

    def for_crm(self, crm: str) -> Strikes:
        """Return the fault function of one CRM, which counts from zero."""
        rules = [(index, rule) for index, rule in enumerate(self.rules) if crm in (rule.crm or KINDS[rule.fault].crms)]
        return Strikes(crm, [_Counting(rule, random.Random(f"{self.seed} {crm} {index}")) for index, rule in rules])


@dataclass
class _Counting:
    rule: Rule
    rng: random.Random
    matched: int = 0
    struck: int = 0

    def strikes(self, call: Call) -> bool:
        rule = self.rule
        if rule.method not in (None, call.method) or not fnmatchcase(call.path, rule.path):
            return False
        self.matched += 1
        if rule.nth:
            hit = self.matched in rule.nth
        elif rule.every:
            hit = self.matched % rule.every == 0
        else:
            hit = rule.share is None or self.rng.random() < rule.share
        if hit and rule.times is not None:
            hit = self.struck < rule.times
        self.struck += hit
        return hit


@dataclass
class Strikes:
    """The fault function of one CRM."""

    crm: str
    rules: list[_Counting]

    def __call__(self, index: int, call: Call) -> Fault | None:
        """Return what happens to a request, ``None`` when nothing does."""
        for counting in self.rules:
            if counting.strikes(call):
                rule = counting.rule
                fault = KINDS[rule.fault].make(Met(self.crm, call, rule.options))
                return replace(fault, name=rule.fault)
        return None


def load_plan(path: Path) -> FaultPlan:
    """Read a plan from a YAML file.

    :raises FaultPlanError: naming file and line
    """
    return read_plan(path.read_text(encoding="utf-8"), path.name)


def read_plan(text: str, name: str = "fault plan") -> FaultPlan:
    """Read a plan from YAML: ``rules``, a list of mappings, and optionally ``seed``.

    :param text: the YAML text
    :param name: how errors name it
    :raises FaultPlanError: naming the line
    """
    try:
        document, lines = read_yaml(text)
    except YamlTextError as error:
        raise FaultPlanError(f"{name}, line {error.line}: {error}") from None

    def refused(message: str, *path: str | int) -> FaultPlanError:
        while path not in lines:
            path = path[:-1]
        return FaultPlanError(f"{name}, line {lines[path]}: {message}")

    rules = document.get("rules") if isinstance(document, Mapping) else None
    if not isinstance(rules, list) or not rules:
        raise refused("a plan is a mapping with a list of 'rules'", "rules")
    if unknown := sorted(set(document) - {"rules", "seed"}):
        raise refused(f"{unknown[0]!r} is not known; a plan has rules and seed", unknown[0])
    seed = document.get("seed", FaultPlan.seed)
    if type(seed) is not int:
        raise refused("seed must be a whole number", "seed")
    made = []
    for index, entries in enumerate(rules):
        try:
            made.append(_rule(entries))
        except FaultPlanError as error:
            raise refused(str(error), "rules", index, error.entry) from None
    return FaultPlan(tuple(made), seed)


def _rule(entries: Any) -> Rule:
    if not isinstance(entries, Mapping) or "fault" not in entries:
        raise FaultPlanError("a rule is a mapping that names its fault")
    own = {name: value for name, value in entries.items() if name in Rule.__dataclass_fields__ and name != "options"}
    options = {name: value for name, value in entries.items() if name in _OPTIONS}
    if unknown := sorted(set(entries) - own.keys() - options.keys()):
        known: Iterable[str] = sorted({*Rule.__dataclass_fields__, *_OPTIONS} - {"options"})
        raise FaultPlanError(f"{unknown[0]!r} is not known; a rule may have {', '.join(known)}", unknown[0])
    for name in ("fault", "crm", "method", "path"):
        if name in own and not isinstance(own[name], str):
            raise FaultPlanError(f"{name} must be text", name)
    if "method" in own:
        own["method"] = own["method"].upper()
    if "nth" in own:
        own["nth"] = tuple(own["nth"]) if isinstance(own["nth"], list) else (own["nth"],)
    if "share" in own:
        share = _SHARE.fullmatch(str(own["share"]))
        if not share:
            raise FaultPlanError("share must be a percentage such as 2%", "share")
        own["share"] = float(share[1]) / 100
    return Rule(**own, options=options)
