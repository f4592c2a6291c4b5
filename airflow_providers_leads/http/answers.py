"""Answers: read no further than they may be, decoded once, and judged; or why there is none."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import requests
import urllib3

from airflow_providers_leads.http.json_text import UNREADABLE
from airflow_providers_leads.http.json_text import decode as decode_json
from airflow_providers_leads.http.retry import Failure

# What a body may trickle in by; a large one over a poor line is faster by far.
_LEAST_BYTES: Final = 1_000
_PIECE: Final = 262_144
_SHORTEST_KEY: Final = 16
_UNSAID: Final = "redacted"
_UNDOCUMENTED: Final = "without the content this API documents"


@dataclass(frozen=True, slots=True)
class Answer:
    """A success answer: ``status``, case-insensitive ``headers`` and the decoded JSON ``body`` (``None``: empty).

    :param unclear_since: epoch seconds at which the request was sent first, when that try's answer was lost: then it
        may have taken effect before this one
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    unclear_since: float | None = None


@dataclass(frozen=True, slots=True)
class Miss:
    """An attempt that brought no good answer; ``what`` completes the sentence "GET /path …".

    :param foreign: it says that nothing is there, and not as an API does: of a record that tells nothing
    """

    failure: Failure
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    request_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    foreign: bool = False


class TimedHead(http.client.HTTPResponse):
    """An answer whose head has to be there in the time that the socket is given for a single piece of it.

    That time begins anew with each byte, so that a head which trickles in would hold its thread for days.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        patience = sock.gettimeout()
        self._pieces = _Pieces(self.fp.detach(), None if patience is None else time.monotonic() + patience)
        self.fp = io.BufferedReader(self._pieces)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        # The body has a time of its own.
        self._pieces.until = None


class _Pieces(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, until: float | None) -> None:
        self.raw, self.until = raw, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.until is not None and time.monotonic() > self.until:
            raise TimeoutError("the head of the answer is too slow")
        return self.raw.readinto(buffer)

    def fileno(self) -> int:
        return self.raw.fileno()

    def close(self) -> None:
        if not self.closed:
            self.raw.close()
        super().close()


def read_bounded(response: requests.Response, limit: int, patience: float) -> bytes:
    """Return an answer's body.

    :param response: of which nothing but the head was read
    :param limit: bytes, decoded, above which it is no answer of an API
    :param patience: seconds for the whole body, and as many more as it takes at :data:`_LEAST_BYTES` a second: the
        socket's own time-out begins anew with each byte
    :raises requests.RequestException, urllib3.exceptions.HTTPError: when it is cut, too large, too slow or damaged
    """
    begun = time.monotonic()
    parts: list[bytes] = []
    size = 0
    while size <= limit and (part := response.raw.read1(_PIECE, decode_content=True)):
        parts.append(part)
        size += len(part)
        if time.monotonic() - begun > patience + size / _LEAST_BYTES:
            response.close()
            raise requests.exceptions.ReadTimeout("slow")
    raw = b"".join(parts) if len(parts) != 1 else parts[0]
    response.close() if len(raw) > limit else response.raw.release_conn()
    if len(raw) > limit:
        raise requests.exceptions.ContentDecodingError("oversized")
    expected = response.headers.get("Content-Length")
    if expected and expected.isdigit() and "Content-Encoding" not in response.headers and len(raw) < int(expected):
        raise requests.exceptions.ChunkedEncodingError("truncated")
    return raw


def unsaid(response: requests.Response, raw: bytes, keys: Iterable[str]) -> tuple[requests.Response, bytes]:
    """Return an answer and its body without the keys that it repeats: whatever is made of it, none is to be in there.

    :param response: the answer
    :param raw: its body
    :param keys: by which the request was signed; shorter ones than a key ever is are left alone
    """
    for key in keys:
        if len(key) < _SHORTEST_KEY:
            continue
        raw = raw.replace(key.encode(), _UNSAID.encode()) if key.encode() in raw else raw
        for name, value in list(response.headers.items()):
            if key in value:
                response.headers[name] = value.replace(key, _UNSAID)
    return response, raw


def missed(error: requests.RequestException | urllib3.exceptions.HTTPError) -> Miss:
    # Only the kind of failure is kept: the exceptions' own texts hold the URL, and so may hold an address.
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.exceptions.SSLError):
        detail = reason.args[0] if isinstance(reason, Exception) and reason.args else None
        if isinstance(detail, ssl.SSLCertVerificationError):
            return Miss(526, "was not sent: the host's TLS certificate was not accepted")
        # TLS fails while an answer is awaited too, and the two look alike.
        return Miss("no_answer", "got no answer: the TLS connection failed")
    if isinstance(error, requests.exceptions.ProxyError):
        return Miss("not_sent", "was not sent: the proxy refused the connection")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Miss("not_sent", "was not sent: the host did not answer in time")
    if isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.NameResolutionError)
    ):
        return Miss("not_sent", f"was not sent: the host is unreachable ({_why(reason)})")
    if isinstance(error, (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return Miss("no_answer", "got no answer in time")
    if isinstance(error, (requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError)):
        return Miss("bad_answer", "got an answer that is too large or can't be decoded")
    return Miss("no_answer", "got no complete answer: the connection was cut")


def _why(error: object) -> str:
    """Return why a host can't be reached, in words that hold nothing of the request."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "there is no such name"
    cause = error.__cause__ if isinstance(error, Exception) else None
    return (cause.strerror or "no connection").lower() if isinstance(cause, OSError) else "no connection"


def judge_answer(
    response: requests.Response, raw: bytes, expect: Callable[[Any], bool] | None, decode: Callable[[bytes], Any]
) -> Answer | Miss:
    status, headers = response.status_code, response.headers
    success = 200 <= status < 300
    body, fault = None, None
    try:
        if raw.strip():
            body = decode_json(raw, decode) if success else decode_json(raw)
    except UNREADABLE as error:
        # Without a type to be of, a value is invalid only where no JSON should have it: numbers beyond numbers.
        mistyped = isinstance(error, msgspec.ValidationError) and decode is not msgspec.json.decode
        fault = _UNDOCUMENTED if mistyped else "with something that is not JSON"
    if not success:
        foreign = status == 404 and fault is not None
        what = f"failed with {status}" + (f", {fault}" if foreign else "")
        # The signed request is kept only as far as an OAuth refresh needs it.
        return Miss(status, what, headers, body, response.request.headers, foreign)
    if fault is None and expect and not expect(body):
        fault = _UNDOCUMENTED
    if fault is not None:
        return Miss("bad_answer", f"answered {status} {fault}", headers)
    return Answer(status, headers, body)
