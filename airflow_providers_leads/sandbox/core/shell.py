"""What the three stand-ins share: an ASGI shell around a table of operations, with statistics and a fault seam.

A vendor is data (its operations, its gate, its error shape); a handler is a plain function from a call to a reply.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer other than success, in the vendor's own shape."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Hold the whole answer, so that batch operations can reuse its body for one entry."""
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, dict(headers or {})


class UnreadableBodyError(Exception):
    """The request body is not what the operation takes; the vendor decides how that is answered."""


@dataclass(slots=True)
class Call:
    """One request, parsed as far as every vendor needs it."""

    method: str
    path: str
    params: dict[str, str]
    query: QueryParams
    headers: Headers
    body: bytes
    origin: str
    raw_length: int
    grant: Any = None

    def json(self) -> Any:
        """Return the JSON body; a body without a JSON content type is refused, as form data would be."""
        if "json" not in self.headers.get("content-type", ""):
            raise UnreadableBodyError("Content-Type must be application/json")
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise UnreadableBodyError(f"Invalid JSON input: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """Return the JSON body, which must be an object."""
        value = self.json()
        if not isinstance(value, dict):
            raise UnreadableBodyError("Invalid JSON input: expected an object")
        return value


@dataclass(slots=True)
class Reply:
    """One answer; `body` None means no bytes at all."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One row of a vendor's endpoint table."""

    method: str
    path: str
    handler: Callable[[Any, Call], Reply]
    writes: bool = False
    needs: frozenset[str] = frozenset()
    """Permissions, any one of which is enough."""
    bucket: str = "main"
    """Which rate limit counts the call."""
    pattern: re.Pattern[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the template; `{version}` only takes HubSpot's dated versions, other names any one segment."""
        expression = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{SEGMENTS.get(m[1], '[^/]+')})", self.path)
        object.__setattr__(self, "pattern", re.compile(expression))


SEGMENTS = {"version": r"\d{4}-\d{2}(?:-beta)?"}


@dataclass(frozen=True)
class Fault:
    """A trouble to cause: cut the connection, answer something else, or wait; before or after the effect took place."""

    when: Literal["before", "after"] = "before"
    cut: bool = False
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    change: Callable[[Reply, Scene], Reply] | None = None
    """Spoils the answer that would have been given; called when the effect took place."""
    name: str = ""
    """How statistics count it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault that changes an answer may look at: the request, the vendor's memory, the page before this one."""

    call: Call
    vendor: str
    store: Any
    before: Any
    """Body of the last success answer at this path, as it was sent."""


Faults = Callable[[int, Call], Fault | None]


@dataclass(frozen=True)
class Vendor:
    """What makes one vendor out of the shell."""

    name: str
    store: Any
    operations: tuple[Operation, ...]
    gate: Callable[[Call, Operation | None], dict[str, str]]
    """Checks key, limit and permission; returns headers for every answer, or raises ApiError."""
    refuse: Callable[[int, str], ApiError]
    """The vendor's error shape for 400, 404, 405, 415 and 500."""
    records: Callable[[], dict[str, int]]


class Stats:
    """Counts of what a vendor was asked, so that a test can say "the second run wrote nothing"."""

    def __init__(self) -> None:
        """Start from zero."""
        self.reset()

    def reset(self) -> None:
        """Forget every count."""
        self.requests = self.writes = 0
        self.by_method: Counter[str] = Counter()
        self.by_route: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def ask(self, method: str, operation: Operation | None) -> None:
        """Count a request as it arrives; a mutating request counts as a write whatever its answer."""
        self.requests += 1
        self.by_method[method] += 1
        self.by_route[f"{operation.method} {operation.path}" if operation else "unknown"] += 1
        self.writes += bool(operation and operation.writes)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-ready data."""
        return {
            "requests": self.requests,
            "writes": self.writes,
            "rate_limited": self.by_status["429"],
            "by_method": dict(self.by_method),
            "by_route": dict(self.by_route),
            "by_status": dict(self.by_status),
            "faults": dict(self.faults),
        }


class VendorApp:
    """ASGI application of one vendor."""

    def __init__(self, vendor: Vendor, people: Callable[[], list[dict[str, Any]]]) -> None:
        """Index the operations by their number of segments, which decides most of the match."""
        self.vendor, self.people = vendor, people
        self.stats = Stats()
        self.faults: Faults | None = None
        self._index = 0
        self._pages: dict[str, Any] = {}
        self._by_depth: dict[int, list[Operation]] = {}
        for operation in vendor.operations:
            self._by_depth.setdefault(operation.path.count("/"), []).append(operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        call = await read_call(scope, receive)
        if call.path.startswith("/_sandbox/"):
            await respond(self.control(call), scope, receive, send)
            return
        operation, known_path = self.match(call)
        self.stats.ask(call.method, operation)
        index, self._index = self._index, self._index + 1
        fault = self.faults(index, call) if self.faults else None
        if fault:
            self.stats.faults[fault.name or "unnamed"] += 1
        if fault and fault.when == "before" and await self.strike(fault, scope, receive, send):
            return
        reply = self.answer(call, operation, known_path)
        if fault and fault.when == "after" and await self.strike(fault, scope, receive, send):
            return
        if self.faults and 200 <= reply.status < 300:
            if fault and fault.change:
                scene = Scene(call, self.vendor.name, self.vendor.store, self._pages.get(call.path))
                self._pages[call.path] = reply.body
                reply = fault.change(reply, scene)
            else:
                self._pages[call.path] = reply.body
        self.stats.by_status[str(reply.status)] += 1
        await respond(reply, scope, receive, send)

    def plant(self, faults: Faults | None) -> None:
        """Set the fault function; it counts requests from 0 again."""
        self.faults, self._index = faults, 0
        self._pages.clear()

    def match(self, call: Call) -> tuple[Operation | None, bool]:
        """Find the operation of a call, and whether its path exists under some method."""
        known_path = False
        # A percent-encoded slash belongs to a value, so the path is matched as sent and decoded afterwards.
        for operation in self._by_depth.get(call.path.count("/"), ()):
            match = operation.pattern.fullmatch(call.path)
            if not match:
                continue
            if operation.method == call.method:
                call.params = {name: unquote(value) for name, value in match.groupdict().items()}
                return operation, True
            known_path = True
        return None, known_path

    def answer(self, call: Call, operation: Operation | None, known_path: bool) -> Reply:
        """Pass the gate, then run the handler; every failure takes the vendor's shape."""
        headers: dict[str, str] = {}
        try:
            headers = self.vendor.gate(call, operation)
            if operation is None:
                raise self.vendor.refuse(405 if known_path else 404, "")
            reply = operation.handler(self.vendor.store, call)
        except ApiError as error:
            reply = Reply(error.body, error.status, error.headers)
        except UnreadableBodyError as error:
            refused = self.vendor.refuse(415 if "Content-Type" in str(error) else 400, str(error))
            reply = Reply(refused.body, refused.status, refused.headers)
        except Exception:
            log.exception("%s sandbox failed on %s %s", self.vendor.name, call.method, call.path)
            refused = self.vendor.refuse(500, "")
            reply = Reply(refused.body, refused.status, refused.headers)
        reply.headers = headers | reply.headers
        return reply

    async def strike(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Cause the fault and tell whether the request ended with it."""
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.cut:
            self.stats.by_status["cut"] += 1
            await cut(send)
            return True
        if fault.status is not None:
            self.stats.by_status[str(fault.status)] += 1
            await respond(Reply(fault.body, fault.status, dict(fault.headers)), scope, receive, send)
            return True
        return False

    def control(self, call: Call) -> Reply:
        """Serve the sandbox's own questions: no key, no limit, not counted."""
        match call.method, call.path:
            case "GET", "/_sandbox/stats":
                return Reply({"api": self.vendor.name, **self.stats.as_dict(), "records": self.vendor.records()})
            case "POST", "/_sandbox/reset-stats":
                self.stats.reset()
                return Reply({"status": "reset"})
            case "GET", "/_sandbox/people":
                return Reply(self.people())
        return Reply({"error": "unknown sandbox path"}, 404)


async def read_call(scope: Scope, receive: Receive) -> Call:
    """Read the whole request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = Headers(scope=scope)
    path = scope["raw_path"].decode("latin-1")
    return Call(
        method=scope["method"],
        path=path,
        params={},
        query=QueryParams(scope["query_string"]),
        headers=headers,
        body=b"".join(chunks),
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        raw_length=len(path) + 1 + len(scope["query_string"]),
    )


async def respond(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a reply; text bodies stay text, so that a fault can answer HTML as a broken proxy would."""
    if reply.body is None:
        response: ASGIApp = Response(status_code=reply.status, headers=reply.headers)
    elif isinstance(reply.body, bytes):
        response = Response(reply.body, reply.status, reply.headers, "application/json")
    elif isinstance(reply.body, str):
        response = Response(reply.body, reply.status, reply.headers, media_type="text/html")
    else:
        response = Response(msgspec.json.encode(reply.body), reply.status, reply.headers, "application/json")
    await response(scope, receive, send)


async def cut(send: Send) -> None:
    """Drop the connection without an answer.

    ASGI has no such message; uvicorn's `send` is a method of the object that owns the transport.
    """
    owner = getattr(send, "__self__", None)
    if owner is None:
        raise RuntimeError("cutting a connection needs uvicorn's own send()")
    owner.transport.abort()
    # connection_lost() runs on the next turn of the loop; before it uvicorn would complain about a missing answer.
    for _ in range(3):
        await asyncio.sleep(0)


def as_text_list(values: Iterable[str]) -> list[str]:
    """Split comma-joined and repeated query values alike, dropping blanks and repeats."""
    return list(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip()))
