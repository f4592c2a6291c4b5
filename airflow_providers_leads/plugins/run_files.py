"""Which files are a run's own. Only these are ever shown, whatever a result says or a request asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from airflow_providers_leads.plugins.airflow_runs import RunDetails
from airflow_providers_leads.report.files import RunFiles
from airflow_providers_leads.tasks.paths import safe_name, storage_path

_NAME: Final = re.compile(r"[\w+=@-][\w.+=@-]*")
_MOST_FILES: Final = 500


class WriteFiles(NamedTuple):
    """The files of one destination.

    :param key: names it in addresses
    :param stem: names it to people, such as ``hubspot_default.0``
    :param plan: URI
    :param results: URI
    """

    key: str
    stem: str
    plan: str | None
    results: str | None


@dataclass(slots=True)
class OwnFiles:
    """The files of one run.

    :param refused: how many its tasks name that lie elsewhere
    """

    files: RunFiles
    golden: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def writes(self) -> list[WriteFiles]:
        """The destinations, by their names."""
        return [WriteFiles(_key(stem), stem, plan, results) for stem, plan, results in self.files.writes]


def own_files(details: RunDetails, kept: Sequence[tuple[str, str]] = ()) -> OwnFiles:
    """Return the files of a run: those that its tasks returned, and of failed ones those in the folders they write to.

    A user may be able to change a result in Airflow, which must not open another DAG's files: what doesn't lie where
    the run writes to is refused.

    :param details: of the run
    :param kept: kind and URI of files that its report has listed
    """
    line = details.line
    own = OwnFiles(RunFiles())
    refused = set()

    def is_own(uri: str) -> bool:
        own_place = _is_plain(uri) and (_names_run(uri, line.dag_id, line.run_id) or _lies_in(uri, details.folders))
        if not own_place and re.search(r"[/\\]", uri):
            refused.add(uri)
        return own_place

    returned = [_only(value, is_own) for value in details.returned]
    own.files.add_results(returned)
    own.files.add_names(uri for _, uri in kept if is_own(uri))
    known = {uri for _, uri in own.files.all}
    for folder, of_all in details.folders:
        if _is_plain(folder):
            own.files.add_names(uri for uri in _below(folder, deep=of_all) if uri not in known)
            known = {uri for _, uri in own.files.all}
    for value in returned:
        if isinstance(value, dict) and "members" in value:
            golden = value.get("golden")
            own.golden += [golden] if isinstance(golden, str) else golden or []
    own.refused = len(refused)
    return own


def _only(value: Any, is_own: Any) -> Any:
    """Return a result without the URIs that are not the run's own."""
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, item in value.items():
            if isinstance(item, list):
                kept[key] = [uri for uri in item if isinstance(uri, str) and is_own(uri)] if key == "golden" else []
            elif isinstance(item, str) and is_own(item):
                kept[key] = item
        return kept
    return [_only(item, is_own) for item in value] if isinstance(value, (list, tuple)) else None


def _is_plain(uri: str) -> bool:
    """Tell whether a URI is where it seems to be."""
    segments = re.split(r"[/\\]", uri)
    return "://" in uri and not {"..", "."} & set(segments) and not re.search(r"[\x00-\x1f%?#*]", uri)


def _names_run(uri: str, dag_id: str, run_id: str) -> bool:
    """Tell whether a path names DAG and run, as the default folders and those of the example DAGs do."""
    segments = uri.split("/")[:-1]
    wanted = _letters(run_id)
    return any(
        safe_name(dag_id) in (one, safe_name(one)) and _letters(two) == wanted for one, two in pairwise(segments)
    )


def _letters(text: str) -> str:
    # What stores don't take in a name is left out by some and replaced by others.
    return re.sub(r"[\W_]", "", text)


def _lies_in(uri: str, folders: Iterable[tuple[str, bool]]) -> bool:
    """Tell whether a file is one of a folder, or anywhere below one that holds this run's files and no others."""
    return any(
        uri.startswith(f"{folder}/") if of_all else folder in (uri, uri.rpartition("/")[0])
        for folder, of_all in folders
        if _is_plain(folder)
    )


def _below(folder: str, *, deep: bool) -> list[str]:
    """Return the Parquet files of a folder; one that is gone, or can't be read, has none."""
    try:
        path = storage_path(folder)
        found = path.rglob("*.parquet") if deep else path.glob("*.parquet")
        names = [str(file) for file, _ in zip(found, range(_MOST_FILES), strict=False)]
    except Exception:
        # Each store has errors of its own; the files that results name are tried one by one.
        return []
    # Parts of one file are read by way of their folder.
    return [name for name in names if not any(part.endswith(".parquet") for part in name.split("/")[:-1])]


def _key(stem: str) -> str:
    return stem if _NAME.fullmatch(stem) else hashlib.sha256(stem.encode()).hexdigest()[:16]
