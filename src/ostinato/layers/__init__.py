"""Sequence layers: from a cell to a network over time."""
