"""`ostinato translate`: lines in, lines out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.ask import device_of
from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_beside, say_json, say_next

if TYPE_CHECKING:
    from ostinato.tasks.translator.task import Translation

__all__ = ["translate"]

_SUFFIXES = (".txt", ".gz", ".tsv", ".en", ".de")


def translate(
    run: RunFolder,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help='Lines to translate; or files with a line each ("-" is standard input).',
            show_default=False,
        ),
    ],
    beam: Annotated[int, typer.Option(help="Hypotheses side by side; 1 is greedy.")] = 5,
    best: Annotated[int, typer.Option(help="Translations of each line to show, best first.")] = 1,
    length_penalty: Annotated[
        float, typer.Option(help="Above 0, longer translations are favoured.")
    ] = 1.0,
    coverage_penalty: Annotated[
        float, typer.Option(help="Above 0, those that leave nothing of the source out.")
    ] = 0.0,
    copy: Annotated[
        bool,
        typer.Option("--copy/--no-copy", help="Copy the source's word for an unknown one."),
    ] = True,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw where attention looked (of the first line): .png, .svg or .html.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Translate lines: each gives one line (with --best, so many, each after its rank)."""
    from ostinato.tasks.translator.task import Translator

    if not 1 <= best <= beam:
        raise typer.BadParameter(f"must be in 1..{beam}, the width of --beam.", param_hint="--best")
    model = Translator.load(run).to(device_of(device))
    if plot is not None:
        _check_plot(model, plot)
    found = model.translate(
        _lines(texts),
        beam=beam,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        copy_unknown=copy,
    )
    following = f"ostinato eval {shlex.quote(str(run))} SOURCE TARGET"
    kept: list[dict[str, Any]] = []
    for number, hypotheses in enumerate(found):
        if number == 0 and plot is not None:
            _draw(hypotheses[0], plot)
        if as_json:
            kept.append(_as_plain(hypotheses[:best]))
            continue
        for rank, one in enumerate(hypotheses[:best], 1):
            say(one.text if best == 1 else f"{rank}\t{one.score:.3f}\t{one.text}")
    if as_json:
        drawn = {} if plot is None else {"plot": str(plot)}
        say_json({"run": str(run), "lines": kept, **drawn, "next": following})
        return
    if plot is not None:
        say_beside(f"Drawn in {plot}")
    say_next(following, why="score it on pairs")


def _lines(texts: list[str]) -> Iterator[str]:
    from ostinato.data.pairs import read_lines

    for text in texts:
        if text == "-":
            # line by line, so that it may be the end of a pipe
            for line in sys.stdin:
                yield line.rstrip("\r\n")
        elif Path(text).is_file():
            yield from read_lines(text)
        else:
            _check_no_file(text)
            yield from text.splitlines() or [""]


def _check_no_file(text: str) -> None:
    """See that what is no file was not meant as one, which would be translated as a word."""
    path = Path(text)
    if not any(sign.isspace() for sign in text) and (
        len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES
    ):
        raise FileNotFoundError(f"There is no file {text}. Check the name.")


def _check_plot(model: Any, path: Path) -> None:
    from ostinato.inspect.pictures import picture_kind

    if model.settings.model.attention is None:
        raise typer.BadParameter(
            "this model has no attention, so there is nothing to draw.", param_hint="--plot"
        )
    picture_kind(path)


def _draw(one: Translation, path: Path) -> None:
    from ostinato.inspect.alignment import draw_alignment

    if one.weights is None or not one.pieces:
        raise typer.BadParameter(
            "the first line is empty, so there is nothing to draw.", param_hint="--plot"
        )
    draw_alignment(one.weights, one.source_pieces, one.pieces, path, title=one.text)


def _as_plain(hypotheses: list[Translation]) -> dict[str, Any]:
    plain = [one.to_dict() for one in hypotheses]
    for one in plain:
        del one["source"]
    return {"source": hypotheses[0].source, **plain[0], "others": plain[1:]}
