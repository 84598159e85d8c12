"""A real browser without a window, told what to do over the DevTools protocol.

Over a pair of pipes, so that it needs no port and no library: each message is JSON up to a zero
byte.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.wait import until

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ANSWERS_WITHIN_S = 30.0
# --no-sandbox: in a container the tests are root, and the page is ours.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions"),
    *("--force-device-scale-factor=1", "--remote-debugging-pipe"),
)

Message = dict[str, Any]


class Browser:
    """One tab. What was asked of the network and what went wrong in the page is kept."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._writes = (_out_of_the_way(fd) for fd in os.pipe())
        self._reads, to_write = (_out_of_the_way(fd) for fd in os.pipe())

        def as_it_expects() -> None:
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=as_it_expects,  # noqa: PLW1509 - two system calls, and no lock
        )
        os.close(to_read)
        os.close(to_write)
        self._replies: dict[int, Message] = {}
        self._asked = 0
        self._session = ""
        self._changed = threading.Condition()
        self.requested: list[str] = []
        self.complaints: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: object) -> Message:
        """Send a command, and wait for its result."""
        with self._changed:
            self._asked += 1
            asked = self._asked
        message: Message = {"id": asked, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        with self._changed:
            said = self._changed.wait_for(lambda: asked in self._replies, _ANSWERS_WITHIN_S)
            assert said, f"the browser did not answer {method}"
            reply = self._replies.pop(asked)
        assert "error" not in reply, f"{method}: {reply['error']}"
        result: Message = reply["result"]
        return result

    def look_like(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Be a window or a phone of so many pixels, of somebody who likes it light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to `url`; what was requested and complained of before is forgotten."""
        self.requested.clear()
        self.complaints.clear()
        self.tell("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page."""
        said = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait_for(self, expression: str, timeout_s: float = 30.0) -> Any:
        """What it gives, as soon as that is true; of an element, that it is there."""
        asked = f"(found => found instanceof Node || found)({expression})"
        try:
            return until(lambda: self.value(asked), timeout_s=timeout_s, what=expression)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text()}\n{self.complaints}") from None

    def text(self) -> str:
        """What a person reads."""
        return str(self.value("document.body.innerText"))

    def press(self, key: str) -> None:
        """A key, pressed and let go, wherever the focus is."""
        for kind in ("rawKeyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key)

    def screenshot(self, file: Path) -> bytes:
        """All of the page, however long it is, as PNG; it is also left in `file`."""
        shot = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(png := b64decode(shot["data"]))
        return png

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._writes)

    def _listen(self) -> None:
        rest = b""
        while part := os.read(self._reads, 1 << 16):
            *whole, rest = (rest + part).split(b"\0")
            for one in whole:
                self._hear(json.loads(one))
        os.close(self._reads)

    def _hear(self, message: Message) -> None:
        with self._changed:
            if "id" in message:
                self._replies[message["id"]] = message
            self._changed.notify_all()
        about = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(about["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(about["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(about["exceptionDetails"]))


def _out_of_the_way(descriptor: int) -> int:
    """The same under a number from 10 on: 3 and 4 are those that the browser expects."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


@contextmanager
def _browsing(profile: Path) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(_PROGRAMS)} is installed")
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, where there is one; else the test is skipped."""
    with _browsing(tmp_path_factory.mktemp("chromium")) as one:
        yield one
