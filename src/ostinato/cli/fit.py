"""`ostinato fit`: from a file to a run folder."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.options import AsJson, Device, Seed
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.tasks.language_model import LanguageModel
    from ostinato.tasks.settings import LanguageModelSettings

__all__ = ["app", "text"]

app = typer.Typer(help="Fit a model to data.", no_args_is_help=True)


class Tokens(str, Enum):
    """What one step of the network reads."""

    char = "char"
    word = "word"
    subword = "subword"


_TOKENS = {"char": "characters", "word": "words", "subword": "subwords"}


@app.callback()
def _fit() -> None:
    # a group of one command stays a group
    pass


@app.command()
def text(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help='Text files, gz archives or folders of them; "-" is standard input.',
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write.", show_default=False)
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(help="lstm, gru, ... or module:Class of your own.", show_default=False),
    ] = None,
    tokens: Annotated[
        Tokens | None, typer.Option(help="What one step reads.", show_default=False)
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="TOML file of settings, or the name of a preset.", show_default=False),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, such as model.hidden_size=512. May be repeated.",
            show_default=False,
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the settings in force, and stop.")
    ] = False,
    seed: Seed = None,
    device: Device = None,
    devices: Annotated[
        str | None, typer.Option(help="How many devices, or which (0,1).", show_default=False)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="How many machines.", show_default=False)
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="auto, ddp, ... (Lightning's).", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a language model to text, and score it on the last tenth of it."""
    given: dict[str, dict[str, Any]] = {
        "model": {"cell": cell},
        "data": {"tokens": _TOKENS[tokens.value] if tokens else None},
        "training": {
            "seed": seed,
            "device": device,
            "devices": _count(devices),
            "nodes": nodes,
            "strategy": strategy,
        },
    }
    chosen = {
        table: {key: value for key, value in entries.items() if value is not None}
        for table, entries in given.items()
    }
    if print_config:
        _print_config(_settings(config, changes or [], chosen, None), as_json)
        return
    if not files:
        raise typer.BadParameter('name a text file, a folder, or "-".', param_hint="FILE")
    if out is None:
        raise typer.BadParameter("name a folder for the run.", param_hint="--out")
    settings = _settings(config, changes or [], chosen, out if resume else None)
    model = fit_text(files, out, settings, resume=resume, overwrite=overwrite)
    if model is not None:
        _report(model, out, files, as_json)


def fit_text(
    files: list[str], out: Path, settings: LanguageModelSettings, *, resume: bool, overwrite: bool
) -> LanguageModel | None:
    """Fit; None in a process that only helps another, which reports."""
    from ostinato.tasks.language_model import LanguageModel

    model = LanguageModel.fit(files, config=settings, out=out, resume=resume, overwrite=overwrite)
    from lightning.pytorch.utilities import rank_zero_only

    return None if getattr(rank_zero_only, "rank", 0) else model


def _count(devices: str | None) -> int | str | None:
    return int(devices) if devices is not None and devices.lstrip("-").isdigit() else devices


def _settings(
    config: str | None, changes: list[str], chosen: dict[str, Any], resumed: Path | None
) -> LanguageModelSettings:
    from ostinato.config import assign, merge
    from ostinato.tasks.settings import LanguageModelSettings, read_settings, recorded_settings

    base = LanguageModelSettings() if resumed is None else recorded_settings(resumed)
    named = {} if config is None else read_settings(config)
    single: dict[str, Any] = {}
    for change in changes:
        assign(single, change)
    return base.updated(merge(merge(named, single), chosen))


def _print_config(settings: LanguageModelSettings, as_json: bool) -> None:
    from ostinato.config import to_toml

    if as_json:
        say_json(settings.to_dict())
        return
    say(to_toml(settings.to_dict()))
    say_next("ostinato fit text FILE --out DIR --config FILE.toml", why="with these, edited")


def _report(model: LanguageModel, out: Path, files: list[str], as_json: bool) -> None:
    from ostinato.cli.scores import show_figures

    stopped = model.figures["training"]["stopped"] == "interrupted"
    if stopped:
        names = "-" if files == ["-"] else shlex.join(files)
        following = f"ostinato fit text {names} --out {shlex.quote(str(out))} --resume"
    else:
        following = f"ostinato generate {shlex.quote(str(out))} --length 400"
    if as_json:
        say_json({"run": str(out), **model.figures, "next": following})
    else:
        show_figures(model.figures, model.settings.data.tokens)
        say(f"Saved in {out}" + (" (stopped early)" if stopped else ""))
        say_next(following)
    if stopped:
        raise typer.Exit(130)
