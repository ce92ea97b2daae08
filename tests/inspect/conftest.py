"""A browser for pages that are files."""

import json

import pytest

from browser import MISSING, Browser, find_browser


class Files(Browser):
    """A browser that opens pages from files; elements are named by their ids."""

    def open(self, path, *, width=1200, height=900, dark=False):
        self.size(width, height, dark=dark)
        super().open(f"file://{path}", ready="document.documentElement.dataset.ready === 'yes'")

    def complaints(self):
        """Exceptions, and whatever the console noted as an error."""
        return self.problems

    def text(self, key):
        return self.run(f"document.getElementById({json.dumps(key)}).textContent")

    def choose(self, key, value):
        """Set a field, as a person does."""
        self.set(f"#{key}", value)

    def click(self, script):
        """Click what a script finds."""
        self.mouse("mousePressed", script)
        self.mouse("mouseReleased", script)


@pytest.fixture(scope="session")
def browser():
    if find_browser() is None:
        pytest.skip(MISSING)
    with Files() as page:
        yield page
