"""How far a task got, kept where its own retry finds it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec
from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.leads.files.places import remove
from airflow_providers_leads.leads.files.staging import appearing
from airflow_providers_leads.tasks.paths import storage_path

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

_ACCOUNT: Final = "account"


def owner_of(context: Context) -> str:
    """Return what tells a task instance from every other one, and is the same in each of its tries."""
    ti: Any = context.get("ti")
    if ti is None:
        # Outside of a run, as in somebody's test, each call is one of its own.
        return uuid4().hex[:12]
    owner = "/".join(str(part) for part in (ti.dag_id, ti.run_id, ti.task_id, getattr(ti, "map_index", -1)))
    return hashlib.sha256(owner.encode()).hexdigest()[:12]


class Checkpoint:
    """A small mapping that the tries of one task instance share.

    Kept in Airflow's task state store (3.3 and newer), where it can be seen while the task runs; before that, in a file
    beside what the task writes.

    :param context: the task's context
    :param name: tells the checkpoints of one task apart
    :param beside: URI of the file that the task writes
    :param hook: of the CRM that it is about: what a try noted while the connection was another account's is forgotten,
        as its record ids mean other people there
    """

    def __init__(self, context: Context, name: str, beside: str, hook: LeadsHook | None = None) -> None:
        self.owner = owner_of(context)
        """Tells this task instance from every other one that may write to the same place."""
        self._name = name
        self._store: Any = context.get("task_state_store")
        self._uri = f"{beside}.{self.owner}.progress.json"
        self._hook = hook

        self.state: dict[str, Any] = self._of_account(self._read())
        """What this try and those before it have noted; empty at first."""
        self.is_new = not self.state
        """True when no try before this one has noted anything that counts."""

    def _read(self) -> dict[str, Any]:
        if self._store is not None:
            return dict(self._store.get(self._name) or {})
        try:
            return msgspec.json.decode(storage_path(self._uri).read_bytes(), type=dict[str, Any])
        except (FileNotFoundError, msgspec.DecodeError):
            # Damaged, as a disk that filled up leaves it: beginning anew does no harm, failing each try would.
            return {}

    def _of_account(self, state: dict[str, Any]) -> dict[str, Any]:
        if self._hook is None or not state or self._hook.is_account(str(state.get(_ACCOUNT))):
            return state
        self._hook.log.warning("%s: it is another account now than in an earlier try: beginning anew", self._hook.label)
        return {}

    def note(self, **entries: Any) -> None:
        """Add JSON values to what is noted, durably."""
        self.state |= entries
        if self._hook is not None:
            self.state[_ACCOUNT] = self._hook.known_account
        if self._store is not None:
            self._store.set(self._name, self.state)
            return
        with appearing(storage_path(self._uri)) as part:
            part.write_bytes(msgspec.json.encode(self.state))

    def clear(self) -> None:
        """Forget: the next try, or a deliberate second run, begins anew."""
        self.state, self.is_new = {}, True
        if self._store is not None:
            self._store.delete(self._name)
        else:
            remove(storage_path(self._uri))
