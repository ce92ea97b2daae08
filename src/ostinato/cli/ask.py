"""`ostinato eval` and `ostinato generate`: ask a fitted model."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.options import AsJson, Device, RunFolder, Seed
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.tasks.language_model.task import LanguageModel

__all__ = ["evaluate", "generate", "load"]


def load(run: Path, device: str | None) -> LanguageModel:
    """The model of a run folder, on a device."""
    from ostinato.tasks.language_model.task import LanguageModel

    return LanguageModel.load(run).to(device_of(device))


def device_of(name: str | None) -> Any:
    """A torch device, checked.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    import torch

    if name == "auto":
        found = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        )
        return found or torch.device("cpu")
    wanted = {"gpu": "cuda"}.get(name or "cpu", name or "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def evaluate(
    run: RunFolder,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="What it is scored on, as fit takes it.", show_default=False
        ),
    ],
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="Of a text: score only the end, which fit does not train on."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the score, too: .png, .svg or .html.", show_default=False),
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Score a model of any task on data of which the answers are known."""
    from ostinato.cli.scoring import draw_score, draws, following, show_task_score
    from ostinato.tasks.registry import load as load_any

    model = load_any(run).to(device_of(device))
    task = model.SETTINGS.TASK
    options = {}
    if held_out:
        if task != "language_model":
            raise typer.BadParameter(f"it is for texts, not for a {task}.", param_hint="--held-out")
        options = {"part": "held_out"}
    if plot is not None:
        draws(task, plot)
    found = model.evaluate(files, **options)
    score = found.to_dict()
    after = following(task, shlex.quote(str(run)))
    if plot is not None:
        draw_score(task, found, plot)
    if as_json:
        drawn = {} if plot is None else {"plot": str(plot)}
        say_json({"run": str(run), **score, **drawn, "next": after})
        return
    show_task_score(model, score, ", ".join(files))
    if plot is not None:
        say(f"Drawn in {plot}")
    say_next(after)


def generate(
    run: RunFolder,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="Text to continue. May be repeated.", show_default=False),
    ] = None,
    length: Annotated[int, typer.Option(help="Tokens to write.")] = 400,
    temperature: Annotated[
        float | None,
        typer.Option(help="Below 1 more careful, above 1 more daring, 0 greedy. \\[default: 0.8]"),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Choose among the k most probable.", show_default=False)
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Choose among the fewest of this probability.", show_default=False),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1, what was written lately is less likely.")
    ] = 1.0,
    beam: Annotated[
        int, typer.Option(help="Above 1, search the most probable text instead of drawing.")
    ] = 1,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Let a model continue a prompt. Characters appear as they are written."""
    model = load(run, device)
    asked = prompts or [""]
    settings: dict[str, Any] = {
        "length": length,
        # a beam draws nothing, so that there is no temperature to choose
        "temperature": (0.8 if beam == 1 else 1.0) if temperature is None else temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
        "beam": beam,
        "seed": seed,
    }
    following = f"ostinato eval {shlex.quote(str(run))} FILE"
    if as_json:
        texts = model.generate(asked, **settings)
        say_json({"run": str(run), "texts": texts, **settings, "next": following})
        return
    if len(asked) == 1 and beam == 1:
        _stream(model, asked[0], settings)
    else:
        for text in model.generate(asked, **settings):
            say(text)
    say_next(following, why="score it on a text of yours")


def _stream(model: LanguageModel, prompt: str, settings: dict[str, Any]) -> None:
    # the prompt appears with the first piece: a prompt that is refused leaves no trace
    waiting = [prompt]

    def write(piece: str) -> None:
        sys.stdout.write("".join(waiting) + piece)
        sys.stdout.flush()
        waiting.clear()

    model.generate(prompt, **settings, stream=write)
    write("\n")
