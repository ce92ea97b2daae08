"""How soon a page of `ostinato inspect` opens: `python benchmarks/inspect_page.py`.

A language model with an LSTM of 512 units reads a text of 2,000 characters; the page is opened in
headless Chromium, and timed by the browser itself from the beginning of the navigation to the first
picture. The same for larger networks shows what is left out there. `--json FILE` keeps the figures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from ostinato import LanguageModel
from ostinato.data.tokenizers import CharTokenizer
from ostinato.inspect.page import page_of_model
from ostinato.tasks.language_model.settings import LanguageModelSettings

_ROOT = Path(__file__).parent.parent
_TEXT = "To be, or not to be: that is the question. "
_PAINTED = "performance.getEntriesByName('painted')[0]?.startTime"
_READY = "document.documentElement.dataset.ready === 'yes'"
# (steps, units, layers)
CASES = ((200, 128, 1), (2000, 512, 1), (2000, 512, 2), (5000, 512, 1))


_LINE = (
    "{steps:>5} steps, {layers} x {units} units: {megabytes:.2f} MB, opens in {opens_ms:.0f} ms "
    "(slowest {slowest_ms:.0f}), made in {made_s:.1f} s, units shown {units_shown}"
)


def make(folder: Path, steps: int, units: int, layers: int) -> dict[str, Any]:
    """Write a page: seconds that it took, its size, and how many units are on it."""
    settings = LanguageModelSettings().changed(hidden_size=units, num_layers=layers)
    torch.manual_seed(0)
    model = LanguageModel(CharTokenizer(sorted(set(_TEXT))), settings)
    text = (_TEXT * (steps // len(_TEXT) + 1))[:steps]
    begun = time.perf_counter()
    page = page_of_model(model, text, max_steps=steps)
    path = folder / f"{steps}-{units}-{layers}.html"
    page.save(path)
    made = time.perf_counter() - begun
    data = json.loads(page.html.split('id="data">')[1].split("</script>")[0])
    return {
        "steps": steps,
        "units": units,
        "layers": layers,
        "made_s": made,
        "megabytes": path.stat().st_size / 1e6,
        "units_shown": sorted({len(track["units"]) for track in data["tracks"]}),
        "page": str(path),
    }


def opened(browser: Any, path: str, times: int) -> dict[str, float]:
    """Milliseconds from the navigation to the first picture, by the browser's own clock."""
    seen = []
    for _ in range(times):
        browser.open(f"file://{path}", ready=_READY)
        while not (at := browser.run(_PAINTED)):
            time.sleep(0.01)
        seen.append(at)
    return {"opens_ms": statistics.median(seen), "slowest_ms": max(seen)}


def _browser() -> Any:
    """The tests' way to speak to Chromium."""
    home = _ROOT / "tests" / "browser.py"
    spec = importlib.util.spec_from_file_location("inspect_browser", home)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_browser() is None:
        raise SystemExit(module.MISSING)
    return module.Browser()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="openings of each page")
    parser.add_argument("--json", type=Path, help="keep the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [make(Path(folder), *case) for case in CASES]
        with _browser() as browser:
            browser.size(1200, 900)
            for row in found:
                row |= opened(browser, row.pop("page"), options.times)
                print(_LINE.format(**row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
