"""The pages, as HTML: what can be said at once is in them, what is live their scripts ask for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ostinato import __version__
from ostinato.inspect.diagrams import KINDS, DiagramError, diagram
from ostinato.studio.asked import Asked
from ostinato.studio.figures import measures_of
from ostinato.studio.holding import state_shapes
from ostinato.studio.labels import layer_words
from ostinato.studio.learning import AXES, Learning, flat_settings
from ostinato.studio.library import Library, Loaded
from ostinato.studio.prompts import verb_of
from ostinato.studio.questions import Questions, differing_rows, plain, run_row
from ostinato.studio.reading import prompt_for
from ostinato.studio.writing import MOST_TOKENS

__all__ = ["Pages"]

_FOLDER = Path(__file__).parent


class Pages:
    """Renders pages.

    Args:
        library: the runs.
        questions: what is known about them.
    """

    def __init__(self, library: Library, questions: Questions) -> None:
        self.library, self.questions = library, questions
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(version=_version(), plotly=_plotly_address())
        self._templates.filters.update(number=_number, plain=plain, data=_data)

    def curves(self, asked: Asked) -> str:
        """All runs, and how they learn."""
        runs = self.questions.learning()
        return self._page(
            "curves.html",
            "Learning curves",
            runs=[run_row(run) for run in runs],
            places=[str(place) for place in self.library.places],
            measures=measures_of(runs),
            axes=AXES,
            differing=differing_rows(runs),
        )

    def run(self, key: str, asked: Asked) -> str:
        """What a run is: figures and settings."""
        from ostinato.training.runs import load_run

        run = load_run(self.library.folder(key), weights=False)
        return self._page(
            "run.html",
            key,
            run=run_row(self._learning(key)),
            folder=str(run.folder),
            figures=flat_settings(run.settings.get("figures", {})),
            settings=flat_settings(run.settings.get("settings", {})),
            **self._tabs(key, run.task, "run"),
        )

    def read(self, key: str, asked: Asked) -> str:
        """What a model is asked, and its answers step by step."""
        loaded = self.library.load(key)
        verb = verb_of(loaded.task)
        return self._page(
            "read.html",
            f"{key}: {verb.lower()}",
            **_form(loaded, asked),
            **self._tabs(key, loaded.task, "read"),
        )

    def write(self, key: str, asked: Asked) -> str:
        """A text that a model continues, with units held beside it."""
        loaded = self.library.load(key)
        writes = loaded.task == "language_model"
        return self._page(
            "write.html",
            f"{key}: write",
            writes=writes,
            most=MOST_TOKENS,
            instead=verb_of(loaded.task),
            **_form(loaded, asked),
            **self._tabs(key, loaded.task, "write"),
        )

    def inside(self, key: str, asked: Asked) -> str:
        """Gradient flow and saturation."""
        loaded = self.library.load(key)
        return self._page(
            "inside.html",
            f"{key}: inside",
            **_form(loaded, asked),
            **self._tabs(key, loaded.task, "inside"),
        )

    def diagrams(self, key: str, asked: Asked) -> str:
        """The cell and the network as drawings."""
        loaded = self.library.load(key)
        return self._page(
            "diagrams.html",
            f"{key}: diagrams",
            drawings=[_drawing(loaded, kind) for kind in KINDS],
            **self._tabs(key, loaded.task, "diagrams"),
        )

    def problem(self, status: int, message: str) -> str:
        """What went wrong."""
        return self._page("problem.html", "Not possible", status=status, message=message)

    def _page(self, template: str, title: str, **told: Any) -> str:
        return self._templates.get_template(template).render(title=title, **told)

    def _tabs(self, key: str, task: str, here: str) -> dict[str, Any]:
        tabs = {"run": "About", "read": verb_of(task), "write": "Write", "inside": "Inside"}
        tabs["diagrams"] = "Diagrams"
        if task != "language_model":
            del tabs["write"]
        return {"key": key, "task": task.replace("_", " "), "tabs": tabs, "here": here}

    def _learning(self, key: str) -> Learning:
        return self.questions.progress.read(key, self.library.folder(key))


def _drawing(loaded: Loaded, kind: str) -> dict[str, Any]:
    titles = {
        "cell": "One step of the cell of the first layer",
        "folded": "The network, folded",
        "unrolled": "Its recurrent layers, unrolled over three steps",
    }
    told: dict[str, Any] = {"kind": kind, "title": titles.get(kind, kind), "svg": None}
    try:
        drawn = diagram(loaded.model.network, kind)
    except DiagramError as error:
        return told | {"words": str(error)}
    # made by us from names and numbers, every text in it escaped
    return told | {"svg": Markup(drawn.svg), "words": drawn.words}


def _form(loaded: Loaded, asked: Asked) -> dict[str, Any]:
    """What a page's form needs; `trouble` says why there is none."""
    try:
        prompt = prompt_for(loaded)
    except ValueError as error:
        return {"trouble": str(error), "prompt": None, "start": {}, "states": []}
    shapes = state_shapes(loaded.model.network)
    if not shapes:
        trouble = (
            f"This {loaded.task} has no recurrent layer (model.cell is none), so that there are no "
            "steps to look at. Fit one with a cell; ask this one by its command."
        )
        return {"trouble": trouble, "prompt": prompt, "start": {}, "states": []}
    start = prompt.start(loaded.model) | {"is_start": True}
    if asked.text("text"):
        start |= {"text": asked.text("text"), "is_start": False}
    states = [vars(s) | {"words": f"{layer_words(s.layer, s.direction)}, {s.name}"} for s in shapes]
    return {"trouble": "", "prompt": prompt, "start": start, "states": states}


def _number(value: Any, digits: int = 4) -> str:
    """A number as a table shows it.

    Example:
        >>> _number(1234), _number(0.123456), _number(None)
        ('1,234', '0.1235', '-')
    """
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def _data(value: Mapping[str, Any] | list[Any]) -> str:
    """Plain values for a script, as an attribute's text."""
    return json.dumps(value)


def _version() -> str:
    return __version__


def _plotly_address() -> str:
    import importlib.metadata

    try:
        return f"/static/plotly.min.js?{importlib.metadata.version('plotly')}"
    except importlib.metadata.PackageNotFoundError:
        return "/static/plotly.min.js"
