"""From a drawing to a file: matplotlib for .png and .svg, plotly for a page that needs no network.

A picture is a module of this room with a function that takes plain arrays and a path. It draws
twice: with matplotlib on a `Figure` (never pyplot, which keeps state), and as a plotly figure.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.extras import needed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "SCALE", "SIGNED_SCALE", "picture_kind", "save_picture", "shown_of"]

# Okabe and Ito's colours, told apart also by those who see fewer of them
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")

# of amounts, and of what is above or below 0: names that matplotlib and plotly share
SCALE = "viridis"
SIGNED_SCALE = "RdBu"

_KINDS = (".png", ".svg", ".html")


def picture_kind(path: str | Path) -> str:
    """The ending of a picture's name, checked.

    Raises:
        ValueError: it is none of .png, .svg and .html.

    Example:
        >>> picture_kind("forecast.gif")
        Traceback (most recent call last):
        ValueError: A picture's name ends in .png, .svg or .html, got 'forecast.gif'.
    """
    kind = Path(path).suffix.lower()
    if kind not in _KINDS:
        raise ValueError(
            f"A picture's name ends in {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, got {str(path)!r}."
        )
    return kind


def shown_of(title: str, count: int, most: int, what: str = "layers") -> str:
    """A title that says where not all is shown.

    Example:
        >>> shown_of("Spectra", 6, 4), shown_of("Spectra", 4, 4)
        ('Spectra (the first 4 of 6 layers)', 'Spectra')
    """
    return title if count <= most else f"{title} (the first {most} of {count} {what})"


def save_picture(
    path: str | Path,
    *,
    matplotlib: Callable[[Figure], None],
    plotly: Callable[[], Any],
    size: tuple[float, float] = (9.0, 5.0),
) -> None:
    """Draw a picture into a file, in the kind that its name asks for.

    Args:
        path: ends in .png, .svg or .html; its folder is made if missing.
        matplotlib: draws on an empty figure; it is laid out tightly afterwards.
        plotly: gives a `plotly.graph_objects.Figure`.
        size: of .png and .svg, in inches (at 144 dots an inch).

    Raises:
        ValueError: the name ends in something else.
        MissingExtraError: the library is missing; the message says what to install.
        OSError: the file cannot be written.
    """
    kind = picture_kind(path)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".html":
        needed("plotly", extra="plot", why="Pages")
        figure = plotly()
        figure.update_layout(template="plotly_white", colorway=list(COLOURS))
        # the page carries plotly.js, so that it opens anywhere
        figure.write_html(path, include_plotlyjs=True, full_html=True)
        return
    needed("matplotlib", extra="plot", why="Pictures")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "svg.fonttype": "none",
    }
    with rc_context(style):
        drawn = Figure(figsize=size, layout="constrained")
        matplotlib(drawn)
        drawn.savefig(path, dpi=144)
