"""Chromium without a window, driven by its own protocol over two pipes: opens pages, presses keys, downloads."""

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """A browser with one page.

    Args:
        folder: for its profile, and for what it downloads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._read = b""

    def __enter__(self) -> Self:
        to_browser, self._in = os.pipe()
        self._out, from_browser = os.pipe()
        command = [
            "bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", str(BROWSER), "--headless",
            "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", f"--user-data-dir={self._folder / 'profile'}", "--remote-debugging-pipe",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self._folder))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._in)
        self._process.terminate()
        self._process.wait(30)
        os.close(self._out)

    def call(self, method: str, *, page: bool = False, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if page:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._answer()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _answer(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not select.select([self._out], [], [], 60)[0]:
                raise TimeoutError("the browser does not answer")
            more = os.read(self._out, 1 << 16)
            if not more:
                raise RuntimeError("the browser has ended")
            self._read += more
        one, _, self._read = self._read.partition(b"\0")
        return json.loads(one)

    def open(self, path: Path) -> None:
        """Open a page, and wait until its script has run."""
        self.call("Page.navigate", page=True, url=path.as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.call("Runtime.evaluate", page=True, expression=script, returnByValue=True, userGesture=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"]))
        return done["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + 60
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press a key, as from a keyboard."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", page=True, type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", page=True, type="keyUp", key=key)

    def downloaded(self, name: str) -> Path:
        """The file of this name, once it is there."""
        path = self._folder / name
        end = time.monotonic() + 60
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{name} was not downloaded")
            time.sleep(0.05)
        return path
