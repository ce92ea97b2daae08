"""Lags of 100 steps learned by a plain network: Hessian-free, SGD, and momentum beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import Figure, Figures, load_part

__all__ = ["measure"]

# fewer than 1 % of fresh rows wrong: Pascanu, Mikolov, Bengio (2013), arXiv:1211.5063, section 4.1
SOLVED = 1.0
# what SGD gets where Hessian-free optimisation needs less
SECONDS = 300.0


def measure(out: Path, quick: bool) -> Figures:
    """The share of fresh rows that are wrong, one run each; finished ones in `out` are kept."""
    script = load_part(Path(__file__).parents[1], "hessian_free")
    found: Figures = []
    for problem in script.PROBLEMS:
        folder = out / problem
        folder.mkdir(parents=True, exist_ok=True)
        settings = script.settings_of(problem, quick)
        least = 1.0 if quick else SECONDS
        line = _kept(folder / "end.json", lambda s=settings, f=folder: _by_newton(script, s, f))
        seconds = max(least, line["seconds"])
        sgd = _kept(folder / "sgd.json", lambda s=settings, n=seconds: script.plain_sgd(s, n))
        fast = _kept(folder / "momentum.json", lambda s=settings, n=seconds: script.momentum(s, n))
        found.append(_figure(problem, settings, line, sgd, fast, seconds))
    return found


def _by_newton(script: Any, settings: Any, folder: Path) -> dict[str, Any]:
    resume = (folder / "state.json").exists()
    (folder / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
    found: dict[str, Any] = script.hessian_free(settings, folder, resume=resume)
    return found


def _figure(problem: str, settings: Any, line: Any, sgd: Any, fast: Any, seconds: float) -> Figure:
    wrong = line["wrong"] if line["wrong_test"] is None else line["wrong_test"]
    return Figure(
        what=f"{problem}, T = {settings.steps}, {settings.hidden} tanh units, Hessian-free",
        command=f"python benchmarks/hessian_free.py --problem {problem}",
        value=100 * wrong,
        unit="% of fresh rows wrong",
        goal=SOLVED,
        more=False,
        beside={"SGD": 100 * sgd["wrong"], "growing momentum, clipped": 100 * fast["wrong"]},
        seconds=line["seconds"],
        note=(
            f"{line['step']} steps; beside it, from the same weights, {sgd['steps']} and "
            f"{fast['steps']} steps in {seconds:.0f} s"
        ),
    )


def _kept(path: Path, make: Any) -> dict[str, Any]:
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
