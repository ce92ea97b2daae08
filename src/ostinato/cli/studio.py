"""`ostinato studio`: runs, live, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.options import Device
from ostinato.cli.output import say, say_beside

__all__ = ["studio"]

# what is looked through if nothing is named
_USUAL = (Path("runs"), Path())


def studio(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Run folders, or folders of runs; by default ./runs, or else the folder you are "
            "in.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen. Others than you can reach any but the default.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Which port; 0 takes any that is free. \\[default: 8765 or the next free one]",
            show_default=False,
        ),
    ] = None,
    browse: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser, too.")
    ] = False,
    device: Device = None,
) -> None:
    """Show runs live in a browser: how they learn, what they read, write and do inside."""
    from ostinato.extras import needed

    for name in ("starlette", "uvicorn", "jinja2", "plotly"):
        needed(name, extra="studio", why="Live pages")
    from ostinato.cli.ask import device_of
    from ostinato.studio.app import studio_app
    from ostinato.studio.guard import is_loopback, names_of
    from ostinato.studio.library import Library
    from ostinato.studio.server import address, listen, serve

    places = list(runs or [next(place for place in _USUAL if place.is_dir())])
    library = Library(places, device=device_of(device))
    bound = listen(host, port)
    if not is_loopback(host):
        say_beside(
            f"Warning: whoever can reach {host} can see these runs and let this machine work. There"
            " is no password. Leave --host out to keep it to this machine."
        )
    url = address(bound, host)

    def ready() -> None:
        count = len(library.runs())
        say(f"{count} run{'' if count == 1 else 's'} at {url} (Ctrl-C ends it)")
        if browse:
            import webbrowser

            webbrowser.open(url)

    serve(studio_app(library, names=names_of(host)), bound, ready=ready)
    say("Ended.")
