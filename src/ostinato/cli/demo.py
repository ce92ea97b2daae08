"""`ostinato demo`: a small language model of a text that every Python has, in two minutes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.options import AsJson, Seed
from ostinato.cli.output import say, say_beside, say_json, say_next

__all__ = ["demo", "demo_text"]


def demo_text() -> str:
    """Python's own help topics, half a million characters of English or more."""
    from pydoc_data.topics import topics

    return "\n\n".join(text.strip() for text in topics.values()) + "\n"


def demo(
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/demo"),
    seed: Seed = 0,
    seconds: Annotated[int, typer.Option(min=1, help="Time to train at most.")] = 150,
    as_json: AsJson = False,
) -> None:
    """Fit a character model to Python's help texts, score it, let it write. About two minutes."""
    from ostinato.cli.scores import show_figures
    from ostinato.tasks.language_model.task import LanguageModel

    source = demo_text()
    if not as_json:
        say_beside(
            f"Fitting a character model to Python's help topics, {len(source):,} characters, "
            "in a minute or two ..."
        )
    model = LanguageModel.fit(
        source,
        config="demo",
        out=out,
        overwrite=True,
        max_time=float(seconds),
        seed=seed,
    )
    sample = model.generate("The ", length=300, temperature=0.7, seed=seed)
    following = f"ostinato generate {shlex.quote(str(out))} --prompt 'The function'"
    if as_json:
        say_json({"run": str(out), **model.figures, "sample": sample, "next": following})
        return
    show_figures(model.figures, "characters")
    say(f"\nWhat it writes after 'The ':\n\n{sample}\n")
    say(f"Saved in {out}")
    say_next(following)
    say_next("ostinato fit text FILE --out DIR", why="a text of your own")
