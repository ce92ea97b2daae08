"""What every `ostinato fit` has in common: its options, and the way from them to a saved run."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ostinato.cli.options import AsJson, Device, Seed
from ostinato.cli.output import say, say_json, say_next, say_table

__all__ = [
    "FitOptions",
    "duration",
    "fit_command",
    "fit_settings",
    "run_fit",
    "show_ranked",
    "show_training",
    "steps_of_text",
]

_TOKENS = {"char": "characters", "word": "words", "subword": "subwords"}

Out = Annotated[Path | None, typer.Option(help="Run folder to write.", show_default=False)]
Cell = Annotated[
    str | None, typer.Option(help="lstm, gru, ... or module:Class of your own.", show_default=False)
]
ConfigName = Annotated[
    str | None,
    typer.Option(help="TOML file of settings, or the name of a preset.", show_default=False),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, such as model.hidden_size=512. May be repeated.",
        show_default=False,
    ),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the settings in force, and stop.")
]
Devices = Annotated[
    str | None, typer.Option(help="How many devices, or which (0,1).", show_default=False)
]
Nodes = Annotated[int | None, typer.Option(help="How many machines.", show_default=False)]
Strategy = Annotated[
    str | None, typer.Option(help="auto, ddp, ... (Lightning's).", show_default=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]


@dataclass(frozen=True)
class FitOptions:
    """The options that all of them take."""

    out: Out = None
    cell: Cell = None
    config: ConfigName = None
    changes: Changes = None
    print_config: PrintConfig = False
    seed: Seed = None
    device: Device = None
    devices: Devices = None
    nodes: Nodes = None
    strategy: Strategy = None
    resume: Resume = False
    overwrite: Overwrite = False
    as_json: AsJson = False

    def sections(self) -> dict[str, dict[str, Any]]:
        """What was given of them, as settings."""
        training = {name: getattr(self, name) for name in ("seed", "device", "nodes", "strategy")}
        return {
            "model": {"cell": self.cell},
            "training": {**training, "devices": _count(self.devices)},
        }


def fit_command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options: it is called with them as its last argument, `shared`.

    A command that takes an `out` or the like of its own is not to be mixed with these.
    """
    signature = inspect.signature(function, eval_str=True)
    own = [each for each in signature.parameters.values() if each.name != "shared"]
    kinds = get_type_hints(FitOptions, include_extras=True)
    common = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=kinds[field.name],
        )
        for field in fields(FitOptions)
    ]
    names = [each.name for each in common]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        shared = FitOptions(**{name: given.pop(name) for name in names})
        function(**given, shared=shared)

    del command.__wrapped__
    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    command.__signature__ = inspect.Signature(options + common)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in options + common}
    return command


def run_fit(
    task: str,
    sources: Sequence[str],
    shared: FitOptions,
    chosen: Mapping[str, Mapping[str, Any]],
    report: Callable[[Any], None],
    *,
    usage: str,
    following: str,
    load: Callable[[], Any] | None = None,
    **files: Any,
) -> None:
    """From the options to a run folder, and what is said about it.

    Args:
        task: name of the task, as `ostinato.tasks.registry` has it.
        sources: files of the training data, as they were named.
        shared: the shared options.
        chosen: settings that the command's own options give, by section; None stands for not given.
        report: says what the model scored, unless JSON is asked for.
        usage: how the command is written, e.g. "ostinato fit text FILE"; a stopped run is resumed
            by its first three words and the files as they were given.
        following: the useful next command, with {run} where the folder stands.
        load: makes of the sources what the task's `fit` takes; None: the list itself.
        files: what further files were given for, e.g. validation and test; handed to the task's
            `fit` by these names.
    """
    from ostinato.tasks.registry import settings_class, task_class

    kind = settings_class(task)
    given = _merged(shared.sections(), chosen)
    if shared.print_config:
        _print_config(_settings(kind, shared, given, None), shared.as_json, usage)
        return
    if not sources:
        raise typer.BadParameter("name a file to learn from.", param_hint="FILE")
    if shared.out is None:
        raise typer.BadParameter("name a folder for the run.", param_hint="--out")
    settings = _settings(kind, shared, given, shared.out if shared.resume else None)
    given_files = {name: paths for name, paths in files.items() if paths}
    model = task_class(task).fit(
        list(sources) if load is None else load(),
        config=settings,
        out=shared.out,
        resume=shared.resume,
        overwrite=shared.overwrite,
        **given_files,
    )
    from lightning.pytorch.utilities import rank_zero_only

    # a process that only helps another leaves the report to it
    if not getattr(rank_zero_only, "rank", 0):
        _report(model, shared, report, _again(usage, sources, given_files), following)


def fit_settings(task: str, shared: FitOptions, chosen: Mapping[str, Mapping[str, Any]]) -> Any:
    """The settings that the options come to, for a command that does without a run folder.

    Args:
        task: name of the task.
        shared: the shared options.
        chosen: settings that the command's own options give, by section.
    """
    from ostinato.tasks.registry import settings_class

    return _settings(settings_class(task), shared, _merged(shared.sections(), chosen), None)


def show_training(figures: Mapping[str, Any], unit: str) -> None:
    """How long it was trained, in a line."""
    training = figures["training"]
    seen = f"{training['tokens']:,} {unit} in " if training["tokens"] else ""
    say(f"Trained on {seen}{training['steps']:,} steps ({duration(training['seconds'])})")


def duration(seconds: float) -> str:
    """A time as a person says it.

    Example:
        >>> duration(9.51), duration(61.2)
        ('9.5 s', '1 min 1 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def show_ranked(
    figures: Mapping[str, Any],
    measure: str,
    heading: Callable[[Mapping[str, Any]], str],
    form: str,
    *,
    ascending: bool,
) -> Mapping[str, Any] | None:
    """A model's held-out score among the simple guesses, best last.

    Args:
        figures: what `fit` measured: "held_out", and "baselines" where there are any.
        measure: the entry of the score that guesses are measured by, too.
        heading: a line above, of the score.
        form: how a value is written, e.g. "{:.2%}".
        ascending: more is better.

    Returns:
        The score; None, and so it is said, where nothing was held out.
    """
    if "held_out" not in figures:
        say("Nothing was held out, so there is no score.")
        return None
    score: Mapping[str, Any] = figures["held_out"]
    say(heading(score))
    guesses = {**figures.get("baselines", {}), "this model": score[measure]}
    ranked = sorted(guesses.items(), key=lambda entry: entry[1], reverse=not ascending)
    say_table([("  " + name.replace("_", " "), form.format(value)) for name, value in ranked])
    return score


def steps_of_text(tokens: str | None) -> str | None:
    """The setting `tokens` that an option --tokens names: char, word or subword.

    Raises:
        typer.BadParameter: it names something else.
    """
    if tokens is None or tokens in _TOKENS.values():
        return tokens
    if tokens not in _TOKENS:
        raise typer.BadParameter(
            f"it is char, word or subword, not {tokens}.", param_hint="--tokens"
        )
    return _TOKENS[tokens]


def _again(usage: str, sources: Sequence[str], files: Mapping[str, Any]) -> str:
    """The command with its files as they were given."""
    words = list(sources)
    for name, paths in files.items():
        for path in paths if isinstance(paths, list) else [paths]:
            words += [f"--{name}", str(path)]
    return f"{' '.join(usage.split()[:3])} {shlex.join(words)}"


def _count(devices: str | None) -> int | str | None:
    return int(devices) if devices is not None and devices.lstrip("-").isdigit() else devices


def _merged(*tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for table in tables:
        for section, entries in table.items():
            told = {key: value for key, value in entries.items() if value is not None}
            merged.setdefault(section, {}).update(told)
    return merged


def _settings(
    kind: Any, shared: FitOptions, chosen: Mapping[str, Any], resumed: Path | None
) -> Any:
    from ostinato.config import assign, merge
    from ostinato.tasks.task_settings import recorded_settings

    base = kind.from_dict({}) if resumed is None else recorded_settings(kind, resumed)
    named = {} if shared.config is None else kind.read(shared.config)
    single: dict[str, Any] = {}
    for change in shared.changes or []:
        assign(single, change)
    return base.updated(named, merge(single, chosen))


def _print_config(settings: Any, as_json: bool, usage: str) -> None:
    from ostinato.config import to_toml

    if as_json:
        say_json(settings.to_dict())
        return
    say(to_toml(settings.to_dict()))
    say_next(f"{usage} --out DIR --config FILE.toml", why="with these, edited")


def _report(
    model: Any, shared: FitOptions, report: Callable[[Any], None], again: str, following: str
) -> None:
    run = shlex.quote(str(shared.out))
    stopped = model.figures["training"]["stopped"] == "interrupted"
    following = f"{again} --out {run} --resume" if stopped else following.replace("{run}", run)
    if shared.as_json:
        say_json({"run": str(shared.out), **model.figures, "next": following})
    else:
        report(model)
        say(f"Saved in {shared.out}" + (" (stopped early)" if stopped else ""))
        say_next(following)
    if stopped:
        raise typer.Exit(130)
