"""`ostinato compose`: let a composer write a piece."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.options import AsJson, Device, RunFolder, Seed
from ostinato.cli.output import say, say_json, say_next

__all__ = ["compose"]


def compose(
    run: RunFolder,
    prompt: Annotated[
        Path | None,
        typer.Option(help="A piece to go on with: MIDI, or a piano roll in JSON."),
    ] = None,
    prompt_steps: Annotated[
        int | None, typer.Option(min=1, help="Read only so many steps of it.", show_default=False)
    ] = None,
    length: Annotated[int, typer.Option(min=0, help="Steps to write.")] = 64,
    temperature: Annotated[
        float, typer.Option(help="Below 1 more careful, above 1 more daring, 0 the likeliest.")
    ] = 0.8,
    tempo: Annotated[float, typer.Option(min=1, help="Quarter notes a minute.")] = 90.0,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, .mid or .json. \\[default: composed.mid]"),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of it: .png, .svg or .html.", show_default=False)
    ] = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write music: a MIDI file, or a piano roll in JSON; and a picture of it."""
    from ostinato.cli.ask import device_of
    from ostinato.data.music import Piece, read_music, write_json, write_midi
    from ostinato.inspect.piano_roll import draw_piano_roll
    from ostinato.inspect.pictures import picture_kind
    from ostinato.tasks.composer.task import Composer

    out = out or Path("composed.mid")
    if out.suffix.lower() not in (".mid", ".midi", ".json"):
        raise ValueError(f"--out {out}: the name of a piece ends in .mid, .midi or .json.")
    if plot is not None:
        picture_kind(plot)
    model = Composer.load(run).to(device_of(device))
    per_quarter = model.settings.data.steps_per_quarter
    known = None
    if prompt is not None:
        music = read_music(prompt, steps_per_quarter=per_quarter)
        first = (*music.train, *music.held_out, *music.validation)[0]
        known = Piece(first.steps[:prompt_steps], first.name)
    piece = model.compose(known, length, temperature=temperature, seed=seed, include_prompt=True)
    given = 0 if known is None else len(known)
    if out.suffix.lower() == ".json":
        write_json(piece, out)
    else:
        write_midi(piece, out, steps_per_quarter=per_quarter, tempo=tempo)
    if plot is not None:
        title = f"{length} steps that {run.name} wrote"
        draw_piano_roll(piece, plot, given=given, title=title, steps_per_quarter=per_quarter)
    written = [str(path) for path in (out, plot) if path is not None]
    following = f"ostinato compose {shlex.quote(str(run))} --prompt {shlex.quote(str(out))}"
    if as_json:
        say_json({"run": str(run), "files": written, "steps": piece.steps, "next": following})
        return
    notes = sum(len(step) for step in piece.steps[given:])
    say(f"Wrote {length} steps, {notes} notes, into {' and '.join(written)}")
    say_next(following, why="go on with it")
