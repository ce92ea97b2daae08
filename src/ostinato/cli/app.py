"""The commands, by name. Only what their help needs is imported here."""

from __future__ import annotations

from typing import Annotated

import typer

from ostinato.cli import (
    ask,
    bench,
    caption,
    classify,
    compare,
    compose,
    curves,
    data,
    demo,
    diagram,
    doctor,
    embed,
    fit,
    forecast,
    inspect,
    studio,
    tag,
    translate,
)

__all__ = ["app"]

app = typer.Typer(
    name="ostinato",
    help="Recurrent networks for PyTorch: fit, score and ask them from the command line.",
    epilog="Start with: ostinato demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(fit.app, name="fit")
app.command("eval")(ask.evaluate)
app.command("curves")(curves.curves)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.command("generate")(ask.generate)
app.command("tag")(tag.tag)
app.command("classify")(classify.classify)
app.command("translate")(translate.translate)
app.command("caption")(caption.caption)
app.command("compose")(compose.compose)
app.command("forecast")(forecast.forecast)
app.command("backtest")(forecast.backtest)
app.command("studio")(studio.studio)
app.command("embed")(embed.embed)
app.command("inspect")(inspect.inspect)
app.command("diagram")(diagram.diagram)
app.command("nearest")(embed.nearest)
app.command("analogy")(embed.analogy)
app.add_typer(bench.app, name="bench")
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        from ostinato import __version__

        print(f"ostinato {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    pass
