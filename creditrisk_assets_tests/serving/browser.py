"""A real browser, driven through the Chrome DevTools protocol.

What belongs here: opening a page, pressing and typing as a person does, reading what is shown. What does not: what is asserted.
"""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60


class Page:
    """One tab; what it complained about (errors of scripts, refusals of its policy) is in `complaints`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._noted(message)

    def _noted(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["source"] != "network":
            self.complaints.append(message["params"]["entry"]["text"])

    def open(
        self, url: str, width: int = 1280, height: int = 1000, *, dark: bool = False, narrow: bool = False
    ) -> None:
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.look(width, height, dark=dark, mobile=narrow)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def look(self, width: int, height: int, *, dark: bool = False, mobile: bool = False) -> None:
        """Set the window's size and colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def js(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for an expression to hold."""
        deadline = time.monotonic() + SECONDS
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}\n{self.text('body')}\n{self.complaints}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """Return the text a person sees there; empty if there is nothing."""
        found: str = self.js(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText")
        return found

    def press(self, selector: str) -> None:
        """Press an element with the mouse."""
        x, y = self.js(
            f"(() => {{const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2];})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        """Press a key."""
        code, text = {"Enter": (13, "\r"), "Tab": (9, "")}[name]
        for kind in ("keyDown", "keyUp"):
            given = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **given)

    def type(self, selector: str, text: str) -> None:
        """Type into a field, in place of what it holds."""
        self.js(f"(() => {{const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select();}})()")
        self.call("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option."""
        self.js(
            f"(() => {{const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('input', {bubbles: true}));})()"
        )

    def picture(self, path: Path) -> None:
        """Keep a picture of what is seen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Start a browser with one empty page."""
    assert CHROMIUM
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}",
        "--remote-debugging-port=0", "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(_address(profile, process), max_size=None) as connection:
                yield Page(connection)
                connection.send(json.dumps({"id": 0, "method": "Browser.close"}))
                process.wait(SECONDS)  # it still writes into its profile
        finally:
            process.kill()


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the browser to listen, and find its page."""
    from urllib.request import urlopen

    told, deadline = profile / "DevToolsActivePort", time.monotonic() + SECONDS
    while not told.exists() or len(told.read_text().splitlines()) < 2:
        assert process.poll() is None, "the browser ended"
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    with urlopen(f"http://127.0.0.1:{port}/json", timeout=SECONDS) as reply:
        pages = json.load(reply)
    address: str = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
    return address
