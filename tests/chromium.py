"""A headless Chromium for the tests marked "browser", spoken to by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

T = TypeVar("T")

NEED = "Chromium is missing: run .ci/install-chromium, or install your system's Chromium"
ARTIFACTS = Path(__file__).resolve().parent.parent / ".artifacts"
"""Where pictures are left for people to look at; not in the repository."""


class Browser:
    """One page of a Chromium.

    :param socket: to the page's DevTools
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._last:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, (expression, result)
        return result["result"].get("value")

    def size(self, width: int, height: int = 900) -> None:
        """Make the page as large as a window; below 500 it is a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def open(self, url: str) -> None:
        """Load a page that stays where it was asked for."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href === " + json.dumps(url))

    def wait_for(self, expression: str, seconds: float = 60.0) -> Any:
        """Return the value of a JavaScript expression as soon as it is true.

        :raises AssertionError: after some time, with what the page shows
        """
        return self.until(expression, lambda: self.value(expression), seconds)

    def until(self, what: str, ready: Callable[[], T], seconds: float) -> T:
        """Return what a function returns as soon as that is true."""
        end = time.monotonic() + seconds
        while not (found := ready()):
            assert time.monotonic() < end, f"{what}: not after {seconds:g} s; the page shows: {self.text()[:2000]}"
            time.sleep(0.1)
        return found

    def text(self) -> str:
        """Return the text that the page shows."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def press(self, element: str) -> None:
        """Focus and click an element once it is there and can be pressed.

        :param element: JavaScript expression
        """
        self.wait_for(f"(found => found && !found.disabled)({element})")
        self.value(f"(found => {{ found.focus(); found.click(); }})({element})")

    def write(self, element: str, text: str, *, shown: bool = True) -> None:
        """Replace what a field holds, as typing does.

        :param element: JavaScript expression
        :param shown: wait until the field holds it; false for one that reacts to each letter
        """
        self.wait_for(f"!!({element})")
        self.value(f"(found => {{ found.focus(); found.select(); }})({element})")
        self.call("Input.insertText", text=text)
        if shown:
            self.wait_for(f"({element}).value === {json.dumps(text)}")

    def key(self, name: str, code: int, **more: Any) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **more)

    def met(self, method: str) -> list[dict[str, Any]]:
        """Return what the browser told of one kind since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def keep_picture(self, name: str) -> Path:
        """Leave a picture of the page in :data:`ARTIFACTS`."""
        ARTIFACTS.mkdir(exist_ok=True)
        file = ARTIFACTS / f"{name}.png"
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return file


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Run a Chromium; without one skip the test, and fail it in CI.

    :param profile: an empty folder
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NEED)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    process = subprocess.Popen([program, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text().count("\n")):
            assert time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.1)
        with urlopen(f"http://127.0.0.1:{told.read_text().splitlines()[0]}/json") as answer:
            pages = [target for target in json.load(answer) if target["type"] == "page"]
        with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)
