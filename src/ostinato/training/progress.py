"""Live progress in the terminal: loss, gradient norm, share of clipped steps, speed, time left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Live"]

# key in a metrics line -> how it reads
_SHOWN = {
    "loss": "loss {:.3f}",
    "grad_norm": "grad {:.2f}",
    "clipped": "clipped {:.0%}",
    "clipped_in_time": "in time {:.0%}",
    "tokens_per_s": "{:,.0f} tokens/s",
}


class Live:
    """A line that follows the training; silent where nobody watches.

    Args:
        wanted: show it (if the console is a terminal).
        console: where; standard error unless given.
        monitor: the validation's value to show.
    """

    def __init__(
        self, wanted: bool = True, *, console: Console | None = None, monitor: str = "val_loss"
    ) -> None:
        self._console = console or Console(stderr=True)
        self._monitor = monitor
        self._wanted = wanted
        self._values: dict[str, str] = {}
        self._bar: Progress | None = None
        self._task: Any = None

    def start(self, *, done: int, total: float | None) -> None:
        """Begin at step `done` of `total` (None: nobody knows)."""
        if not (self._wanted and self._console.is_terminal):
            return
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._console,
            refresh_per_second=5,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=total, completed=done)

    def advance(self) -> None:
        """One step more."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def show(self, values: Mapping[str, Any]) -> None:
        """Take over what is known of a line of metrics."""
        for key, form in {**_SHOWN, self._monitor: self._monitor + " {:.3f}"}.items():
            if values.get(key) is not None:
                self._values[key] = form.format(values[key])
        if self._bar is not None:
            self._bar.update(self._task, description=" · ".join(self._values.values()))

    def note(self, text: str) -> None:
        """Say something that the user should know, above the line; not silenced by `wanted`."""
        console = self._bar.console if self._bar is not None else self._console
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Leave the line as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
