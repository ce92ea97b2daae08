"""A headless Chromium, spoken to over its debugging pipe; tests that need it skip without one."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page:
    """One tab of a browser.

    Source of the protocol: https://chromedevtools.github.io/devtools-protocol/ ; with
    --remote-debugging-pipe it is JSON messages, each ended by a zero byte, on files 3 and 4.
    """

    def __init__(self, program):
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        their_in, ours_out = os.pipe()
        ours_in, their_out = os.pipe()

        command = f'exec "$0" "$@" 3<&{their_in} 4>&{their_out}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += [
            "--remote-debugging-pipe",
            f"--user-data-dir={self.home.name}",
            "--no-first-run",
        ]
        self.process = subprocess.Popen(
            ["bash", "-c", command, program, *options, "about:blank"],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self.sends, self.hears = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0)
        self.rest, self.numbers, self.session, self.events = b"", itertools.count(1), None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **given):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": given}
        if self.session:
            message["sessionId"] = self.session
        self.sends.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self.rest:
            more = self.hears.read(1 << 20)
            assert more, "the browser is gone"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def run(self, script):
        """What a script says."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, path, *, width=1200, height=900, dark=False):
        self.events.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        mobile = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        self.send("Page.navigate", url=f"file://{path}")
        for _ in range(600):
            ready = "document.readyState === 'complete' && document.documentElement.dataset.ready"
            if self.run(f"location.pathname === {json.dumps(str(path))} && {ready}") == "yes":
                return
            time.sleep(0.05)
        raise AssertionError(f"the page did not get ready: {self.complaints()}")

    def complaints(self):
        """Exceptions, and whatever the console noted as an error."""
        names = ("Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in names]

    def requests(self):
        """Addresses that were asked for."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def text(self, key):
        return self.run(f"document.getElementById({json.dumps(key)}).textContent")

    def choose(self, key, value):
        """Set a field, as a person does."""
        place = f"document.getElementById({json.dumps(key)})"
        self.run(
            f"{place}.value = {json.dumps(value)}; {place}.dispatchEvent(new Event('input'));"
            f"{place}.dispatchEvent(new Event('change'))"
        )

    def press(self, key, number):
        told = {"key": key, "code": key, "windowsVirtualKeyCode": number}
        self.send("Input.dispatchKeyEvent", type="rawKeyDown", **told)
        self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    def mouse(self, kind, script):
        """Move, press or release the mouse in the middle of what a script finds."""
        x, y = self.run(
            f"(() => {{ const e = {script}; e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, script):
        self.mouse("mousePressed", script)
        self.mouse("mouseReleased", script)

    def picture(self):
        """A screenshot, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def close(self):
        self.sends.close()
        self.hears.close()
        self.process.terminate()
        self.process.wait()
        self.home.cleanup()


@pytest.fixture(scope="session")
def browser():
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None or shutil.which("bash") is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    page = Page(program)
    yield page
    page.close()
