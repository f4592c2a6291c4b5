"""Which files of a run are what: by the keys of the tasks' results, or by name below a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_providers_leads.leads.files.places import parquet_below

_SUFFIXES: Final = {".leads": "extracts", ".checked": "checked", ".plan": "plans", ".results": "results"}
_MERGED: Final = ("members", "conflicts", "rejects")
MEMORY: Final = "memory.json"
"""Name of the file in which a merge says what its memory saw."""
_KEYS: Final = {"uri": "extracts", "plan": "plans", "results": "results", **{name: name for name in _MERGED}}


@dataclass(slots=True)
class RunFiles:
    """The files of one run: kind → name of the file without its kind → URI.

    A destination's plan and results have one name in common, such as ``hubspot_default.0``.

    :param extracts: leads as they were read
    :param members: what the golden records are made of
    :param conflicts: values that disagree
    :param rejects: leads that belong to nobody
    :param plans: what was to be written
    :param checked: the same, brought up to date before it was written
    :param results: what became of it
    :param memory: what the sync's memory saw
    """

    extracts: dict[str, str] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)
    plans: dict[str, str] = field(default_factory=dict)
    checked: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    memory: dict[str, str] = field(default_factory=dict)

    def add_names(self, uris: Iterable[str]) -> None:
        """Take the files that are known by their names; others are passed over.

        :param uris: of files below the folder of one run
        """
        for uri in sorted(uris):
            name = uri.rpartition("/")[2]
            if name == MEMORY:
                self.memory[uri] = uri
            stem, dot, ending = name.rpartition(".")
            if ending != "parquet" or not dot or name.startswith("."):
                continue
            if stem in _MERGED:
                getattr(self, stem).setdefault(stem, uri)
            for suffix, kind in _SUFFIXES.items():
                if stem.endswith(suffix):
                    held = getattr(self, kind)
                    plain = stem.removesuffix(suffix)
                    # Two tasks may write to one destination: the second stands under its whole name.
                    held[uri if plain in held else plain] = uri

    def add_results(self, results: Iterable[Any]) -> None:
        """Take the files that the results of tasks name, those of other tasks and of failed ones are passed over.

        :param results: what the tasks returned: mappings, and lists of them where a task was mapped
        """
        for item in results:
            if isinstance(item, Mapping):
                for key, kind in _KEYS.items():
                    uri = item.get(key)
                    if isinstance(uri, str) and uri:
                        self._add(kind, uri)
                # A merge leaves it beside its other files.
                if isinstance(item.get("memory"), Mapping) and isinstance(item.get("conflicts"), str):
                    uri = f"{item['conflicts'].rpartition('/')[0]}/{MEMORY}"
                    self.memory[uri] = uri
            elif item is not None and not isinstance(item, str):
                self.add_results(item)

    def _add(self, kind: str, uri: str) -> None:
        stem = uri.rpartition("/")[2].removesuffix(".parquet")
        for suffix in _SUFFIXES:
            stem = stem.removesuffix(suffix)
        getattr(self, kind)[stem] = uri

    @property
    def writes(self) -> list[tuple[str, str | None, str | None]]:
        """Name, plan and results of each write to a destination; either may be missing."""
        stems = list(dict.fromkeys([*self.plans, *self.checked, *self.results]))
        return [(stem, self.checked.get(stem) or self.plans.get(stem), self.results.get(stem)) for stem in stems]

    @property
    def all(self) -> list[tuple[str, str]]:
        """Kind and URI of every file."""
        return [
            (kind, uri)
            for kind in ("extracts", *_MERGED, "plans", "checked", "results")
            for uri in getattr(self, kind).values()
        ]


def uris_below(folder: Any, *others: str) -> list[str]:
    """Return the URIs of all Parquet files below a folder, and of files of other names.

    :param folder: path object
    :param others: names, such as :data:`MEMORY`
    """
    return [*map(str, parquet_below(folder)), *(str(path) for name in others for path in folder.rglob(name))]


def metric_uris(results: Iterable[Any]) -> list[str]:
    """Return the files of metrics that the results of tasks name, and those given as URIs."""
    uris: list[str] = []
    for item in results:
        if isinstance(item, str):
            uris.append(item)
        elif isinstance(item, Mapping):
            if isinstance(item.get("uri"), str):
                uris.append(item["uri"])
        elif item is not None:
            uris += metric_uris(item)
    return uris


def metric_tables(results: Iterable[Any]) -> list[tuple[str, int]]:
    """Return the tables that tasks have written metrics to and to no file, and how many rows."""
    tables: Counter[str] = Counter()
    for item in results:
        if isinstance(item, Mapping):
            if item.get("table") and item.get("rows") and not item.get("uri"):
                conn_id = item.get("sql_conn_id")
                where = f"table {item['table']} of connection {conn_id}" if conn_id else f"table {item['table']}"
                tables[where] += int(item["rows"])
        elif item is not None and not isinstance(item, str):
            tables.update(dict(metric_tables(item)))
    return sorted(tables.items())
