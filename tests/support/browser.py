"""Debian's chromium without a window, driven over its debugging pipe: no library is needed for that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from waiting import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
"""The program, "" where there is none."""

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One page of one browser. A context manager: at its end nothing of it runs any more."""

    def __init__(self, *flags: str) -> None:
        self._place = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()

        def place_pipes() -> None:  # between fork and exec: the browser reads from 3 and writes to 4
            first, second = os.dup(read_there), os.dup(write_there)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, *flags, f"--user-data-dir={self._place.name}", "about:blank"],
            preexec_fn=place_pipes,
            pass_fds=(3, 4, read_there, write_there),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_there)
        os.close(write_there)
        self._from, self._to = os.fdopen(read_here, "rb", buffering=0), os.fdopen(write_here, "wb", buffering=0)
        self._number = 0
        self._buffer = b""
        self._session = ""
        self.problems: list[str] = []
        """What the page's console has complained about: scripts that failed, and what its policy has refused."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._from.close()
        self._to.close()
        self._place.cleanup()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something; return its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = self._from.read(1 << 16)
            assert more, "the browser has ended"
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Runtime.exceptionThrown":
            self.problems.append(
                str(event["params"]["exceptionDetails"].get("exception", {}).get("description"))
            )
        elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.problems.append(str(event["params"]["entry"]["text"]))

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the page a size, and the colours that its reader wants."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, address: str) -> None:
        """Load a page, with all that it shows at once."""
        self.ask("Page.navigate", url=address)
        self.settled()

    def settled(self) -> None:
        """Wait until the page is loaded, and so are the pictures that are to be seen."""
        loaded = (
            "document.readyState === 'complete' && location.href !== 'about:blank' && [...document.images].every("
            "(i) => i.complete || i.getBoundingClientRect().top > innerHeight)"
        )
        eventually(lambda: self.value(loaded) or None)
        drawn = "[...document.images].filter((i) => i.complete).map((i) => i.decode().catch(() => 0))"
        frames = "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
        self.value(f"Promise.all({drawn}).then(() => {frames})")

    def value(self, expression: str) -> Any:
        """Return what an expression of the page is."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, file: Path) -> None:
        """Write what is seen to a PNG file."""
        self.ask("Page.captureScreenshot", format="png")  # has large pictures decoded that were not
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))
