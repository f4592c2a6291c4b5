"""The CRM of the wire benchmarks: a process of its own whose pages are encoded before anyone asks.

What the sandbox does right (validation, state, faults) costs time that would be measured as the client's. This server
only looks up bytes, keeps the vendor's limit if told so, waits if told so, and counts. Run as a program with its
settings as JSON; the first line it writes is its origin, ``GET /stats`` tells what it was asked.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from urllib.request import urlopen

import msgspec

PAGE: Final = 100
_HOST: Final = "127.0.0.1"
_WORDS: Final = (
    "Northwind", "Müller", "Harbour", "Adler", "Summit", "Bright", "Kestrel", "Lumen", "Orchard", "Pioneer", "Quartz",
    "Rivera", "Sørensen", "Tanaka", "Umbrella", "Vega", "Wagner", "Xenon", "Yildiz", "Zimmer",
)  # fmt: skip
_AFTER: Final = re.compile(rb"[?&]after=(\d+)")
_NUMBER: Final = re.compile(rb"[?&]page=(\d+)")
_AGENT: Final = re.compile(rb"user-agent: *[^\r]*?(\S+)\r", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """How the server behaves.

    :param rows: leads in each list
    :param latency: seconds between a request and its answer
    :param limit: requests per window; 0: any number
    :param period: seconds of the rolling window
    :param searches: searches of HubSpot's contacts per window of their own; 0: a search finds nobody, at any time
    :param search_period: seconds of that window
    """

    rows: int = 100_000
    latency: float = 0.0
    limit: int = 0
    period: float = 10.0
    searches: int = 0
    search_period: float = 1.0


def contact(number: int, rng: random.Random) -> dict[str, Any]:
    """Return a HubSpot contact with the properties that this package asks for, filled as CRMs are: in part."""

    def maybe(share: float, value: str) -> str | None:
        return value if rng.random() < share else None

    first, last, firm = rng.choice(_WORDS), rng.choice(_WORDS), rng.choice(_WORDS)
    created = (
        f"20{rng.randint(18, 25)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T08:{rng.randint(10, 59)}:07.123Z"
    )
    updated = (
        f"2026-{rng.randint(1, 10):02}-{rng.randint(1, 28):02}T17:{rng.randint(10, 59)}:51.{rng.randint(100, 999)}Z"
    )
    record_id = str(1_000_000 + 51 * number)
    properties = {
        "address": maybe(0.3, f"{firm}straße {rng.randint(1, 99)}"),
        "city": maybe(0.5, f"{last} am See"),
        "company": maybe(0.7, f"{firm} {last} GmbH"),
        "country": maybe(0.6, "Germany"),
        "createdate": created,
        "email": maybe(0.98, f"{first}.{last}{number}@{firm}.example".lower().replace("ü", "u").replace("ø", "o")),
        "firstname": maybe(0.9, first),
        "hs_additional_emails": maybe(0.02, f"other{number}@{firm}.example"),
        "hs_email_hard_bounce_reason_enum": maybe(0.01, "MAILBOX_FULL"),
        "hs_email_optout": maybe(0.1, "true"),
        "hs_lead_status": maybe(0.4, "IN_PROGRESS"),
        "hs_merged_object_ids": None,
        "hs_object_id": record_id,
        "hubspot_owner_id": maybe(0.8, str(rng.randint(70_000_000, 79_999_999))),
        "industry": maybe(0.3, "COMPUTER_SOFTWARE"),
        "jobtitle": maybe(0.5, "Head of Growth"),
        "lastmodifieddate": updated,
        "lastname": maybe(0.9, last),
        "lifecyclestage": maybe(0.9, "marketingqualifiedlead"),
        "phone": maybe(0.6, f"+49 30 {rng.randint(1_000_000, 9_999_999)}"),
        "state": maybe(0.2, "BE"),
        "website": maybe(0.4, f"https://www.{firm}{number}.example".lower()),
        "zip": maybe(0.4, str(rng.randint(10_000, 99_999))),
    }
    return {
        "id": record_id,
        "properties": properties,
        "createdAt": created,
        "updatedAt": updated,
        "archived": False,
        "url": f"https://app.hubspot.com/contacts/12345678/record/0-1/{record_id}",
    }


def persistiq_lead(record: dict[str, Any]) -> dict[str, Any]:
    """Return the same person as PersistIQ has it."""
    names = {"company_name": "company", "title": "jobtitle", "first_name": "firstname", "last_name": "lastname"}
    plain = ("email", "phone", "address", "city", "state", "industry", "website")
    data = {name: record["properties"][source] for name, source in names.items()}
    data |= {name: record["properties"][name] for name in plain}
    return {
        "id": f"l_{record['id']}", "status": "Active", "owner_id": "u_1", "bounced": False, "optedout": False,
        "sent_count": 1, "replied_count": 0, "last_sent_at": record["updatedAt"], "data": data,
    }  # fmt: skip


def perspective_contact(record: dict[str, Any]) -> dict[str, Any]:
    """Return the same person as Perspective has it."""
    held = record["properties"]
    return {
        "id": record["id"], "createdAt": record["createdAt"], "updatedAt": record["updatedAt"],
        "values": {
            "email": held["email"], "firstName": held["firstname"], "lastName": held["lastname"],
            "phone": held["phone"], "status": "lead", "ps_converted_at": record["updatedAt"],
        },
    }  # fmt: skip


def _encoded(body: Any, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return (
        b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: "
        + str(len(raw)).encode() + b"\r\n" + headers + b"\r\n" + raw
    )  # fmt: skip


class Lists:
    """All answers to reading requests, made beforehand."""

    def __init__(self, rows: int, origin: str, *, searched: bool = False) -> None:
        rng = random.Random(20261121)
        self.rows = rows
        self.contacts: list[bytes] = []
        """Each by itself, where they are searched."""
        self.hubspot: dict[int, bytes] = {}
        self.persistiq: list[bytes] = []
        self.perspective: list[bytes] = []
        starts = range(0, rows, PAGE)
        for start in starts:
            page = [contact(number, rng) for number in range(start, min(rows, start + PAGE))]
            more = start + PAGE < rows
            after = 1_000_000 + 51 * (start + PAGE)
            link = f"{origin}/crm/v3/objects/contacts?limit=100&after={after}"
            paging = {"paging": {"next": {"after": str(after), "link": link}}} if more else {}
            self.hubspot[int(page[0]["id"]) if start else 0] = _encoded({"results": page, **paging})
            self.contacts += [msgspec.json.encode(record) for record in page if searched]
            number = start // PAGE
            url = f"{origin}/v1/leads?page={number + 2}" if more else None
            leads = [persistiq_lead(record) for record in page]
            self.persistiq.append(_encoded({
                "status": "success", "errors": [], "has_more": more, "next_page": url, "leads": leads,
            }))  # fmt: skip
            meta = {"total": rows, "page": number, "limit": PAGE, "hasNext": more}
            self.perspective.append(_encoded({"data": [perspective_contact(record) for record in page], "meta": meta}))

    def answer(self, target: bytes) -> bytes:
        """Return the answer to a GET of a path with its query."""
        if b"/contacts" in target and target.startswith(b"/crm"):
            found = _AFTER.search(target)
            after = int(found[1]) if found else 0
            # Somebody may begin at the last contact.
            return self.hubspot.get(after) or self._page(range(self._place(after), self.rows))
        number = _NUMBER.search(target)
        if target.startswith(b"/v1/leads?") or target == b"/v1/leads":
            return self.persistiq[int(number[1]) - 1 if number else 0]
        if target.startswith(b"/v1/funnels/"):
            return self.perspective[int(number[1]) if number else 0]
        known = {b"/v1/lead_fields": {"lead_fields": []}, b"/v1/dnc_domains": {"dnc_domains": [], "has_more": False}}
        body = known.get(target.partition(b"?")[0])
        return _encoded({"message": "not here"}, b"404 Not Found") if body is None else _encoded(body)

    def search(self, sent: dict[str, Any]) -> bytes:
        """Return the answer to a search of contacts by id, the only property whose filters are looked at."""
        found = range(self.rows)
        for one in (one for group in sent["filterGroups"] for one in group["filters"]):
            if one["propertyName"] != "hs_object_id":
                continue
            if one["operator"] == "IN":
                return self._page([self._place(int(value)) for value in one["values"]])
            place = self._place(int(one["value"]) + (one["operator"] in ("GT", "LTE")))
            found = range(place, found.stop) if one["operator"] in ("GT", "GTE") else range(found.start, place)
        ordered = found[::-1] if sent.get("sorts") else found
        return self._page(ordered[: sent["limit"]], len(found))

    def _place(self, record_id: int) -> int:
        return min(max(0, -((1_000_000 - record_id) // 51)), self.rows)

    def _page(self, places: Sequence[int], total: int = 0) -> bytes:
        found = b",".join([self.contacts[place] for place in places])
        return _encoded(b'{"total":%d,"results":[%b]}' % (total, found))


def written(target: bytes, raw: bytes) -> bytes:
    """Return the answer to a batch of writes: all of them succeeded."""
    if target.endswith(b"/search"):
        # A full read is held against the index: it knows of nothing that was not listed.
        return _encoded({"total": 0, "results": []})
    sent = msgspec.json.decode(raw)
    now = "2026-11-21T10:00:00.000Z"
    if b"/batch/" in target:
        results = []
        for number, item in enumerate(sent["inputs"]):
            held = dict(item["properties"], email=item["id"]) if item.get("idProperty") else item["properties"]
            found = str(number) if item.get("idProperty") else item["id"]
            results.append({
                "id": found, "properties": held, "createdAt": now, "updatedAt": now, "archived": False, "new": True,
                "objectWriteTraceId": item.get("objectWriteTraceId"),
            })  # fmt: skip
        return _encoded({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})
    leads = [{"id": f"l_{n}", "status": "created", "data": lead} for n, lead in enumerate(sent.get("leads", []))]
    return _encoded({"status": "success", "errors": [], "leads": leads})


class Window:
    """A rolling window, and the times of what it let through."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.times: list[float] = []
        self.refused: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self._held: deque[float] = deque()

    def spend(self, who: str) -> bytes | None:
        """Count a request and return the refusal, if it is one too many."""
        now, settings = time.monotonic(), self.settings
        self.asked[who] = self.asked.get(who, 0) + 1
        while self._held and self._held[0] <= now - settings.period:
            self._held.popleft()
        if settings.limit and len(self._held) >= settings.limit:
            self.refused[who] = self.refused.get(who, 0) + 1
            return _encoded(
                {
                    "status": "error", "message": "You have reached your ten_secondly_rolling limit.",
                    "errorType": "RATE_LIMIT", "correlationId": "0", "policyName": "TEN_SECONDLY_ROLLING",
                },
                b"429 Too Many Requests",
                # Real answers leave it to the client to know the length of the window, which is another one here.
                self.headers() + f"Retry-After: {settings.period}\r\n".encode(),
            )  # fmt: skip
        if settings.limit:
            self._held.append(now)
        self.times.append(now)
        return None

    def headers(self) -> bytes:
        """Return the headers that announce the limit."""
        settings = self.settings
        if not settings.limit:
            return b""
        return (
            f"X-HubSpot-RateLimit-Interval-Milliseconds: {int(settings.period * 1000)}\r\n"
            f"X-HubSpot-RateLimit-Max: {settings.limit}\r\n"
            f"X-HubSpot-RateLimit-Remaining: {settings.limit - len(self._held)}\r\n"
            f"X-RateLimit-Limit: {settings.limit}\r\nX-RateLimit-Remaining: {settings.limit - len(self._held)}\r\n"
        ).encode()

    def stats(self) -> dict[str, Any]:
        """Return what was asked since the last time this was asked, and forget it."""
        first, last = (self.times[0], self.times[-1]) if self.times else (0.0, 0.0)
        period = self.settings.period
        windows = int((last - first) / period)
        # In whole windows after the first, into which a quota that was left alone may be poured at once.
        full = sum(first + period <= moment < first + windows * period for moment in self.times)
        found = {
            "answered": len(self.times), "seconds": last - first, "asked": self.asked, "refused": self.refused,
            "used": full / ((windows - 1) * self.settings.limit) if windows > 1 and self.settings.limit else 0.0,
        }  # fmt: skip
        self.forget()
        return found


class Conversation(asyncio.Protocol):
    """One connection; requests on it are answered in turn."""

    def __init__(self, lists: Lists, window: Window, searching: Window) -> None:
        self._lists, self._window = lists, window
        self._received = b""
        self._searching = searching

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not found or len(rest) < size:
            return
        self._received = rest[size:]
        method, target, _ = head.split(b" ", 2)
        if target == b"/stats":
            told = self._window.stats()
            searched = self._searching.stats()
            told["refused"] |= searched["refused"]
            self._transport.write(_encoded(told | {"searched": searched["answered"]}))
            return
        # Who asks is told by the agent's last word, for the fairness between processes. Searches have their own quota.
        agent = _AGENT.search(head + b"\r")
        searched = target.endswith(b"/search")
        refusal = (
            self._searching.spend("search") if searched else self._window.spend(agent[1].decode() if agent else "")
        )
        if refusal is None:
            if method == b"GET":
                answer = self._lists.answer(target)
            elif searched and self._lists.contacts:
                answer = self._lists.search(msgspec.json.decode(rest[:size]))
            else:
                answer = written(target, rest[:size])
            headers = b"" if searched else self._window.headers()
            if headers:
                top, _, body = answer.partition(b"\r\n\r\n")
                answer = top + b"\r\n" + headers + b"\r\n" + body
        else:
            answer = refusal
        if self._window.settings.latency:
            asyncio.get_running_loop().call_later(self._window.settings.latency, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(settings: Settings) -> None:
    """Serve until the process is stopped."""
    window = Window(settings)
    searching = Window(replace(settings, limit=settings.searches, period=settings.search_period))
    lists: list[Lists] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(lists[0], window, searching), _HOST, 0, start_serving=False)
    origin = f"http://{_HOST}:{server.sockets[0].getsockname()[1]}"
    lists.append(Lists(settings.rows, origin, searched=bool(settings.searches)))
    await server.start_serving()
    sys.stdout.write(origin + "\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Serve in a process of its own and yield the origin."""
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(asdict(settings))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def stats(origin: str) -> dict[str, Any]:
    """Return what a server was asked since the last call, and start counting anew."""
    with urlopen(f"{origin}/stats", timeout=30) as answer:
        return dict(json.load(answer))


if __name__ == "__main__":
    asyncio.run(serve(Settings(**json.loads(sys.argv[1]))))
