"""A headless Chromium, spoken to over its debugging pipe: what a person would do with a page.

Source of the protocol: https://chromedevtools.github.io/devtools-protocol/ ; with
--remote-debugging-pipe it is JSON messages, each ended by a zero byte, on files 3 and 4.
"""

import base64
import itertools
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = "no Chromium is installed (Debian: apt-get install chromium)"
# of a machine that other work shares
PATIENCE = 60

_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37}
_KEYS |= {"ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


def find_browser():
    """The browser's program, or None; bash hands it the pipes."""
    found = next((found for found in map(shutil.which, NAMES) if found), None)
    return found if shutil.which("bash") else None


class Browser:
    """One page of one browser, within a `with` block.

    Attributes:
        problems: what its console complained of since `open`.
    """

    def __enter__(self):
        program = find_browser()
        if program is None:
            raise FileNotFoundError(MISSING)
        # the browser may still be writing there when it is told to end
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        their_in, ours_out = os.pipe()
        ours_in, their_out = os.pipe()
        command = f'exec "$0" "$@" 3<&{their_in} 4>&{their_out}'
        home = f"--user-data-dir={self._home.name}"
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *_OPTIONS, home, "about:blank"],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._out, self._in = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0)
        self._rest, self._numbers, self._session = b"", itertools.count(1), None
        self.problems, self._asked = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *error):
        self._out.close()
        self._in.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._home.cleanup()

    # the protocol

    def call(self, method, **parameters):
        """Ask the browser, and wait for its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._hear(answer)

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], PATIENCE)[0], "the browser does not answer"
            more = self._in.read(1 << 20)
            assert more, "the browser is gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _hear(self, event):
        told = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.problems.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        if event.get("method") == "Network.requestWillBeSent":
            self._asked.append(told["request"]["url"])

    # looking

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

    def open(self, address, *, ready="true"):
        """Go to a page, and wait until it is loaded and a script of it is true."""
        self.problems.clear()
        self._asked.clear()
        self.call("Page.navigate", url=address)
        self.wait(
            f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'"
            f" && ({ready})"
        )

    def size(self, width, height, *, dark=False):
        """The size of the window in dots (a telephone's below 600), and which colours are liked."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path=None, *, whole=False):
        """A screenshot as PNG; of the whole page, or of what is in the window."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        content = base64.b64decode(found["data"])
        if path is not None:
            Path(path).write_bytes(content)
        return content

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def requests(self):
        """Addresses that were asked for since `open`."""
        return list(self._asked)

    def loaded_from(self):
        """The hosts from which anything of the page was loaded."""
        names = self.run("performance.getEntriesByType('resource').map((entry) => entry.name)")
        return {re.sub(r"^(\w+://[^/]*).*", r"\1", name) for name in names}

    # doing

    def mouse(self, kind, script):
        """Move, press or release the mouse in the middle of the element that a script finds."""
        x, y = self.run(
            f"(() => {{ const e = {script}; e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, selector):
        """Click where the element is, as a mouse does."""
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, f"document.querySelector({json.dumps(selector)})")

    def set(self, selector, value):
        """Give a field a value, as a person's input does."""
        chosen, given = json.dumps(selector), json.dumps(value)
        self.run(
            f"(() => {{ const e = document.querySelector({chosen});"
            f"if (e.type === 'checkbox') e.checked = {given}; else e.value = {given};"
            "e.dispatchEvent(new Event('input', {bubbles: true}));"
            "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def files(self, selector, *paths):
        """Choose files in a field for files."""
        found = self.call(
            "Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})"
        )
        places = [str(path) for path in paths]
        self.call("DOM.setFileInputFiles", files=places, objectId=found["result"]["objectId"])

    def press(self, key, number=None):
        """Press a key: "Tab", "Enter", "ArrowLeft", ..."""
        told = {"key": key, "code": key, "windowsVirtualKeyCode": number or _KEYS[key]}
        letter = {"Enter": "\r", " ": " "}.get(key)
        down = {"type": "keyDown", "text": letter} if letter else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", **told, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, words):
        """Type into what has the focus."""
        self.call("Input.insertText", text=words)
