"""A headless Chromium, driven through the DevTools protocol: what a person would do with a page."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# of a machine that other work shares
PATIENCE = 60


def find_browser():
    """The browser's program, or None."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


@contextlib.contextmanager
def _program(home):
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={home}",
    ]
    program = find_browser()
    if program is None:
        raise FileNotFoundError(f"None of {', '.join(NAMES)} is installed.")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([program, *options, "about:blank"], **quiet) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class Browser:
    """One page of one browser. `problems` collects what its console complained of."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            # the browser may still be writing there when it is told to end
            self._home = Path(
                stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            )
            stack.enter_context(_program(self._home))
            self.problems = []
            self._number, self._session = 0, None
            self._socket = stack.enter_context(
                connect(self._address(), max_size=None, open_timeout=PATIENCE, compression=None)
            )
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def _address(self):
        # the browser writes its port, and the path of its socket, into its folder
        told = self._home / "DevToolsActivePort"
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            lines = told.read_text().splitlines() if told.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.1)
        raise TimeoutError("the browser did not start")

    def call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._hear(answer)

    def _hear(self, event):
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    def run(self, script):
        """The value of a script, which may be a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition):
        """Wait until a script is true, and give its value."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            if found := self.run(condition):
                return found
            time.sleep(0.05)
        page = self.run("document.body ? document.body.innerText : ''")
        raise TimeoutError(f"{condition}\n{page[:3000]}\n{self.problems}")

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.wait(
            f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'"
        )

    def size(self, width, height, *, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path, *, whole=False):
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector):
        """Click where the element is, as a mouse does."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def set(self, selector, value):
        """Give a field a value, as a person's input does."""
        chosen, given = json.dumps(selector), json.dumps(value)
        self.run(
            f"(() => {{ const e = document.querySelector({chosen});"
            f"if (e.type === 'checkbox') e.checked = {given}; else e.value = {given};"
            "e.dispatchEvent(new Event('input', {bubbles: true}));"
            "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def press(self, key, *, code=None, number=0, text=None):
        """Press a key: 'Tab', 'Enter', 'ArrowLeft', ..."""
        numbers = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36}
        told = {"key": key, "code": code or key, "windowsVirtualKeyCode": numbers.get(key, number)}
        letter = {"Enter": "\r", " ": " "}.get(key, text)
        down = {"type": "keyDown", "text": letter} if letter else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **told, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, words):
        """Type into what has the focus."""
        self.call("Input.insertText", text=words)

    def loaded_from(self):
        """The hosts from which anything of the page was loaded."""
        names = self.run("performance.getEntriesByType('resource').map((entry) => entry.name)")
        return {re.sub(r"^(\w+://[^/]*).*", r"\1", name) for name in names}
