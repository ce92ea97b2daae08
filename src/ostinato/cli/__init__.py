"""The command line: a thin layer over the tasks. Nothing heavy is imported until a command runs."""

from __future__ import annotations

from ostinato.cli.run import main, run

__all__ = ["main", "run"]
