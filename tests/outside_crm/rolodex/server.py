"""Rolodex's API as a small server: people, pages by cursor, a quota, an opt-out."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

KEY = "rolodex-test-key"
PAGE = 3
_EDITABLE = frozenset({"email", "given_name", "family_name", "phone", "company", "circle", "unsubscribed"})


class Rolodex:
    """One account, served on a port of this machine while the ``with`` block lasts.

    :param quota: requests per second
    :param rights: of the key
    """

    def __init__(self, *people: dict[str, Any], quota: int = 40, rights: tuple[str, ...] = ("read", "write")) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.quota, self.rights = quota, rights
        self.writes = self.refusals = 0
        self._ids, self._times = itertools.count(1), deque[float]()
        for person in people:
            self._keep(f"p{next(self._ids)}", {"unsubscribed": False, **person})
        routes = [
            Route("/me", self._me),
            Route("/people", self._list),
            Route("/people", self._create, methods=["POST"]),
            Route("/people/{id}", self._update, methods=["PATCH"]),
        ]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), lifespan="off", log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Rolodex:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def _keep(self, person_id: str, person: dict[str, Any]) -> dict[str, Any]:
        self.people[person_id] = {**person, "id": person_id, "changed_at": datetime.now(UTC).isoformat()}
        return self.people[person_id]

    def _by_email(self, email: str | None) -> list[dict[str, Any]]:
        return [person for person in self.people.values() if person.get("email", "").lower() == str(email).lower()]

    def _refusal(self, request: Request, right: str) -> JSONResponse | None:
        if request.headers.get("x-rolodex-key") != KEY:
            return JSONResponse({"error": "no such key"}, 401)
        if right not in self.rights:
            return JSONResponse({"error": f"the key may not {right}"}, 403)
        now = time.monotonic()
        while self._times and self._times[0] <= now - 1:
            self._times.popleft()
        if len(self._times) >= self.quota:
            self.refusals += 1
            return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "1"})
        self._times.append(now)
        return None

    async def _me(self, request: Request) -> JSONResponse:
        return self._refusal(request, "read") or JSONResponse({"rights": list(self.rights)})

    async def _list(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request, "read"):
            return refusal
        query = request.query_params
        found = self._by_email(query["email"]) if "email" in query else list(self.people.values())
        for name in ("circle",):
            found = [person for person in found if name not in query or person.get(name) == query[name]]
        if since := query.get("changed_since"):
            bound = datetime.fromisoformat(since)
            found = [person for person in found if datetime.fromisoformat(person["changed_at"]) >= bound]
        start = next((place for place, person in enumerate(found) if person["id"] == query.get("cursor")), 0)
        rest = found[start + PAGE :]
        return JSONResponse({"people": found[start : start + PAGE], "next": rest[0]["id"] if rest else None})

    async def _create(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request, "write"):
            return refusal
        body = await request.json()
        if unknown := set(body) - _EDITABLE:
            return JSONResponse({"error": f"unknown: {sorted(unknown)}"}, 400)
        if self._by_email(body["email"]):
            return JSONResponse({"error": "exists"}, 409)
        self.writes += 1
        return JSONResponse(self._keep(f"p{next(self._ids)}", {"unsubscribed": False, **body}), 201)

    async def _update(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request, "write"):
            return refusal
        person_id, body = request.path_params["id"], await request.json()
        if person_id not in self.people:
            return JSONResponse({"error": "no such person"}, 404)
        if unknown := set(body) - _EDITABLE:
            return JSONResponse({"error": f"unknown: {sorted(unknown)}"}, 400)
        self.writes += 1
        return JSONResponse(self._keep(person_id, {**self.people[person_id], **body}))
