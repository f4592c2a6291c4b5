"""One process, three ports: the three stand-ins served over real HTTP, usable from a test as a context manager."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from types import TracebackType
from typing import Any

import uvicorn

from airflow_providers_leads.sandbox.core.clock import Clock, parse_iso
from airflow_providers_leads.sandbox.core.config import SandboxConfig
from airflow_providers_leads.sandbox.core.people import Person, make_people
from airflow_providers_leads.sandbox.core.shell import Faults, Stats, Vendor, VendorApp
from airflow_providers_leads.sandbox.hubspot import app as hubspot
from airflow_providers_leads.sandbox.persistiq import app as persistiq
from airflow_providers_leads.sandbox.perspective import app as perspective

MAX_HEADER_BYTES = 256 * 1024
"""More than any address a client builds, so that an overlong one is refused by the API and not by the server."""
START_SECONDS = 30


class Api:
    """One running stand-in."""

    def __init__(self, vendor: Vendor, key: str, people: list[Person], listener: socket.socket) -> None:
        """Prepare a server on a socket that is bound already, so that nobody can take the port in between."""
        self.name, self.key = vendor.name, key
        self.app = VendorApp(vendor, lambda: [person.as_dict() for person in people])
        host, port = listener.getsockname()[:2]
        self.origin = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._listener = listener
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name=f"sandbox-{self.name}", daemon=True
        )

    @property
    def store(self) -> Any:
        """The stand-in's memory."""
        return self.app.vendor.store

    @property
    def stats(self) -> Stats:
        """What the stand-in was asked so far."""
        return self.app.stats

    @property
    def faults(self) -> Faults | None:
        """The function that decides which request fails, and how."""
        return self.app.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self.app.plant(faults)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Return when the port answers."""
        end = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the {self.name} sandbox did not start")
            time.sleep(0.005)

    def ask_to_stop(self) -> None:
        """Let the server finish without waiting for it."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Stop serving and free the port."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(START_SECONDS)
        self._listener.close()


class PortTakenError(OSError):
    """A port that was asked for belongs to somebody else."""


def bind(host: str, port: int) -> socket.socket:
    """Bind a port, 0 for any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortTakenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class Sandbox:
    """The three APIs with one set of seeded people.

    Settings are those of `SandboxConfig`, by keyword or as a whole::

        with Sandbox(people=50, limits=False) as sandbox:
            requests.get(f"{sandbox.persistiq.origin}/v1/users", headers={"x-api-key": sandbox.persistiq.key})
    """

    def __init__(self, config: SandboxConfig | None = None, **settings: Any) -> None:
        """Seed the stores and bind the ports; nothing is served before `start`."""
        self.config = config = dataclasses.replace(config or SandboxConfig(), **settings)
        anchor = parse_iso(config.anchor)
        if anchor is None:
            raise ValueError(f"anchor must be an ISO 8601 instant with an offset, got {config.anchor!r}")
        clock = Clock(anchor)
        self.people = people = make_people(config.people, config.seed, anchor)
        vendors = (
            (hubspot.vendor(config, clock, people), config.hubspot_key, config.hubspot_port),
            (perspective.vendor(config, clock, people), config.perspective_key, config.perspective_port),
            (persistiq.vendor(config, clock, people), config.persistiq_key, config.persistiq_port),
        )
        listeners: list[socket.socket] = []
        try:
            for _, _, port in vendors:
                listeners.append(bind(config.host, port))
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        self.hubspot, self.perspective, self.persistiq = self.apis = tuple(
            Api(vendor, key, people, listener) for (vendor, key, _), listener in zip(vendors, listeners, strict=True)
        )
        for api in self.apis:
            api.faults = config.faults.for_crm(api.name) if config.faults else None

    def start(self) -> Sandbox:
        """Serve all three and return when they answer."""
        for api in self.apis:
            api.start()
        for api in self.apis:
            api.wait_until_ready()
        return self

    def stop(self) -> None:
        """Stop all three."""
        for api in self.apis:
            api.ask_to_stop()
        for api in self.apis:
            api.stop()

    def connections(self) -> dict[str, dict[str, str]]:
        """Return Airflow connections by id."""
        return {
            f"{api.name}_default": {"conn_type": api.name, "host": api.origin, "password": api.key} for api in self.apis
        }

    def connection_env(self) -> dict[str, str]:
        """Return the environment variables that define these connections for Airflow."""
        return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in self.connections().items()}

    def __enter__(self) -> Sandbox:
        """Start serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.stop()
