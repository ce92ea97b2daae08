"""The equations: one family of cells a file."""

from ostinato.cells.base import Cell, Gates

__all__ = ["Cell", "Gates"]
