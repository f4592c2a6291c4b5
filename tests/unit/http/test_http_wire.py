"""The client against real sockets: what servers and networks do that no mock does."""

from __future__ import annotations

import datetime
import gzip
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_fakes import EMAIL, KEY, SENTENCE, FakeClock, leaks, make_client

from airflow_providers_leads.http import client as client_module
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import LeadsApiError, LeadsNetworkError, LeadsServerError
from airflow_providers_leads.http.retry import RetryPolicy

Reply = bytes | Callable[[socket.socket], None]


@dataclass
class Server:
    """Gives each connection the next reply, byte for byte, and the last one from then on; keeps what it was sent."""

    replies: list[Reply]
    listens: bool = True
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Server:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        # A connection of our own wakes the accepting thread.
        with socket.create_connection(self._socket.getsockname()):
            self._thread.join(5)
        self._socket.close()

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self.over.is_set():
                    return
                try:
                    self._answer(self.tls.wrap_socket(connection, server_side=True) if self.tls else connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            received = b""
            while self.listens and not _complete(received):
                if not (more := connection.recv(65_536)):
                    return
                received += more
            if received:
                self.requests.append(received)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if callable(reply):
                reply(connection)
            else:
                connection.sendall(reply)


def _complete(received: bytes) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(blank) and len(body) >= (int(length.group(1)) if length else 0)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def start(*replies: Reply, **options: Any) -> Server:
        running.append(Server(list(replies), **options).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def connect(clock: FakeClock) -> Iterator[Callable[..., HttpClient]]:
    made: list[HttpClient] = []

    def client_of(origin: str, **options: Any) -> HttpClient:
        defaults: dict[str, Any] = {"policy": RetryPolicy(max_retries=1), "timeout": (2.0, 2.0)}
        made.append(make_client(clock, origin=origin, **(defaults | options)))
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sized(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return answer(body, f"Content-Length: {len(body)}", *headers, status=status)


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def failed(client: HttpClient, method: str = "GET") -> LeadsApiError:
    with pytest.raises(LeadsApiError) as caught:
        client.request(
            method, "/v1/leads", params={"email": EMAIL}, json=None if method == "GET" else [EMAIL], expect=bool
        )
    assert not leaks(caught.value)
    return caught.value


OK = sized(b'{"ok":true}')
CHUNKED = answer(b'4\r\n{"ok\r\n7\r\n":true}\r\n0\r\n\r\n', "Transfer-Encoding: chunked")
ZIPPED = gzip.compress(b'{"ok":true}')


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(OK, id="sized"),
        pytest.param(CHUNKED, id="chunked"),
        pytest.param(answer(b'{"ok":true}'), id="until the end"),
        pytest.param(sized(ZIPPED, "Content-Encoding: gzip"), id="gzip"),
    ],
)
def test_a_body_arrives_whole(serve: Callable[..., Server], connect: Callable[..., HttpClient], reply: bytes) -> None:
    server = serve(reply)
    assert connect(server.origin).request("GET", "/v1/leads").body == {"ok": True}
    assert f"x-api-key: {KEY}".encode() in server.requests[0]
    assert b"gzip" in server.requests[0]


def test_a_refused_connection_was_not_sent_so_even_a_post_is_repeated(
    connect: Callable[..., HttpClient], clock: FakeClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = failed(connect(f"http://127.0.0.1:{port}"), "POST")
    assert isinstance(error, LeadsNetworkError)
    assert "was not sent: the host is unreachable" in str(error)
    assert not error.ambiguous
    assert len(clock.sleeps) == 1


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        pytest.param(hang_up, "the connection was cut", id="no answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "without the content", id="half a head"),
        pytest.param(b"220 smtp.example.org ESMTP\r\n", "the connection was cut", id="another protocol"),
        pytest.param(answer(b'{"ok"', "Content-Length: 11"), "the connection was cut", id="half a body"),
        pytest.param(
            answer(b'4\r\n{"ok\r\n7\r\n":', "Transfer-Encoding: chunked"), "the connection was cut", id="half a chunk"
        ),
        pytest.param(
            answer(b'4\r\n{"ok\r\n', "Transfer-Encoding: chunked"), "the connection was cut", id="no last chunk"
        ),
        pytest.param(
            answer(b"zz\r\nno number", "Transfer-Encoding: chunked"), "the connection was cut", id="no chunk at all"
        ),
        pytest.param(
            answer(ZIPPED[:15], f"Content-Length: {len(ZIPPED)}", "Content-Encoding: gzip"),
            "the connection was cut",
            id="half a gzip body",
        ),
        pytest.param(answer(ZIPPED[:15], "Content-Encoding: gzip"), "not JSON", id="half a gzip body of unknown size"),
        pytest.param(sized(b'{"ok":true}', "Content-Encoding: gzip"), "can't be decoded", id="gzip in name only"),
        pytest.param(answer(b'{"ok"'), "not JSON", id="half a body of unknown size"),
    ],
)
def test_half_an_answer_is_repeated_for_a_get_and_ambiguous_for_a_post(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], reply: Reply, shown: str
) -> None:
    server = serve(reply, OK)
    assert connect(server.origin).request("GET", "/v1/leads", expect=bool).body == {"ok": True}
    assert len(server.requests) == 2
    server = serve(reply, OK)
    error = failed(connect(server.origin), "POST")
    assert error.ambiguous
    assert shown in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("begun", [b"", answer(b'{"ok"', "Content-Length: 11")], ids=["silent", "in the middle"])
def test_a_server_that_falls_silent_is_left(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], begun: bytes
) -> None:
    def stall(connection: socket.socket) -> None:
        connection.sendall(begun)
        gone.wait(5)

    gone = threading.Event()
    server = serve(stall)
    error = failed(connect(server.origin, timeout=(2.0, 0.1)), "POST")
    gone.set()
    assert "got no answer in time" in str(error)
    assert error.ambiguous


@pytest.mark.parametrize(
    "head",
    [["Content-Length: 5000"], ["Transfer-Encoding: chunked"], ["Content-Length: 5000", "Content-Encoding: gzip"]],
    ids=["sized", "chunked", "packed"],
)
def test_a_body_that_trickles_in_is_left(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], head: list[str]
) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(answer(b"", *head))
        body = ZIPPED if "gzip" in head[-1] else b" " * 5_000
        for byte in body[:5_000]:
            # Every byte begins the socket's own time-out anew.
            connection.sendall(b"1\r\n%c\r\n" % byte if "chunked" in head[-1] else b"%c" % byte)
            if gone.wait(0.05):
                return

    gone = threading.Event()
    server = serve(trickle)
    error = failed(connect(server.origin, timeout=(2.0, 0.3)), "POST")
    gone.set()
    assert "got no answer in time" in str(error)
    assert error.ambiguous


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["status", "headers"])
def test_a_head_that_trickles_in_is_left(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], head: bytes
) -> None:
    def trickle(connection: socket.socket) -> None:
        for byte in head + b"x" * 5_000:
            connection.sendall(b"%c" % byte)
            if gone.wait(0.05):
                return

    gone = threading.Event()
    server = serve(trickle)
    error = failed(connect(server.origin, timeout=(2.0, 0.3)), "POST")
    gone.set()
    assert "got no answer in time" in str(error)
    assert error.ambiguous


def test_a_body_may_take_longer_than_its_head(serve: Callable[..., Server], connect: Callable[..., HttpClient]) -> None:
    def slow(connection: socket.socket) -> None:
        connection.sendall(answer(b"", "Content-Length: 400002"))
        for piece in (b'"', b"x" * 200_000, b"x" * 200_000, b'"'):
            connection.sendall(piece)
            time.sleep(0.15)

    client = connect(serve(slow).origin, timeout=(2.0, 0.3), policy=RetryPolicy(max_retries=0))
    assert len(client.request("GET", "/x").body) == 400_000


def test_a_flood_is_not_read_to_its_end(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 100_000)

    def flood(connection: socket.socket) -> None:
        connection.sendall(answer(b""))
        # The kernel buffers some; far more than that can only go out if the client reads it.
        for _ in range(2_000):
            connection.sendall(b" " * 65_536)
        drained.append(True)

    drained: list[bool] = []
    server = serve(flood)
    assert "too large" in str(failed(connect(server.origin, policy=RetryPolicy(max_retries=0))))
    assert not drained


def test_a_zip_bomb_is_not_unpacked(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 100_000)
    server = serve(sized(gzip.compress(b" " * 10_000_000), "Content-Encoding: gzip"))
    assert "too large" in str(failed(connect(server.origin), "POST"))


@pytest.mark.parametrize("body", [b"", b"<html>moved</html>"])
def test_a_redirect_with_a_body_of_its_own_is_followed(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], body: bytes
) -> None:
    server = serve(sized(body, "Location: /v2/leads", status="302 Found"), OK)
    assert connect(server.origin).request("GET", "/v1/leads").body == {"ok": True}
    assert server.requests[1].startswith(b"GET /v2/leads ")
    assert KEY.encode() in server.requests[1]


def test_a_redirect_to_another_port_sends_nothing_there(
    serve: Callable[..., Server], connect: Callable[..., HttpClient]
) -> None:
    thief = serve(OK)
    server = serve(sized(b"", f"Location: {thief.origin}/v1/leads?email={EMAIL}", status="302 Found"))
    assert isinstance(failed(connect(server.origin)), LeadsServerError)
    assert (len(server.requests), thief.requests) == (1, [])


def test_connections_are_reused(serve: Callable[..., Server], connect: Callable[..., HttpClient]) -> None:
    body = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}'

    def keep(connection: socket.socket) -> None:
        connection.sendall(body)
        for _ in range(2):
            received.append(connection.recv(65_536))
            connection.sendall(body)

    received: list[bytes] = []
    server = serve(keep)
    client = connect(server.origin)
    assert [client.request("GET", "/v1/leads").status for _ in range(3)] == [200] * 3
    assert (len(server.requests), len(received)) == (1, 2)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(OK, id="fine"),
        pytest.param(sized(f'{{"message":"{SENTENCE} {EMAIL} {KEY}"}}'.encode(), status="400 Bad"), id="refused"),
        pytest.param(sized(b"", f"Location: /v1/{EMAIL}", status="302 Found"), id="redirected"),
        pytest.param(answer(b"{}", f"{SENTENCE} {EMAIL}", "Content-Length: 2"), id="a head that urllib3 complains of"),
        pytest.param(hang_up, id="cut"),
    ],
)
def test_no_library_logs_addresses_either(
    serve: Callable[..., Server],
    connect: Callable[..., HttpClient],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
) -> None:
    caplog.set_level(logging.DEBUG)
    # Airflow's logging configuration silences it when a test before this one has run a DAG; a user's may not.
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
    monkeypatch.setattr(logging.getLogger("urllib3.connectionpool"), "disabled", False)
    client = connect(serve(reply).origin)
    try:
        client.request(
            "GET", "/v1/leads/{id}/campaigns", path_params={"id": EMAIL}, params={"email": EMAIL, "note": SENTENCE}
        )
    except LeadsApiError as error:
        assert not leaks(error)
    shown = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "urllib3" in shown
    assert "jane" not in shown
    assert KEY not in shown
    assert SENTENCE.replace(" ", "+") not in shown


def test_what_holds_no_address_is_logged_as_ever(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="urllib3")
    client = connect(serve(OK).origin)
    client.request("GET", "/v1/leads", params={"page": 2})
    assert '"GET /v1/leads?page=2 HTTP/1.1" 200 11' in caplog.text


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(hours=1)
    )
    certificate = builder.sign(key, hashes.SHA256())
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_nobody_vouches_for_sees_no_request(
    serve: Callable[..., Server], connect: Callable[..., HttpClient], self_signed: ssl.SSLContext
) -> None:
    server = serve(OK, tls=self_signed)
    error = failed(connect(server.origin), "POST")
    assert "TLS certificate was not accepted" in str(error)
    assert not error.ambiguous
    assert server.requests == []


def test_a_server_that_speaks_no_tls_is_named_as_such(
    serve: Callable[..., Server], connect: Callable[..., HttpClient]
) -> None:
    server = serve(sized(b"Bad Request", status="400 Bad Request"), listens=False)
    error = failed(connect(server.origin.replace("http:", "https:")))
    assert "the TLS connection failed" in str(error)
