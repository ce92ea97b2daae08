"""Mean and spread of each column of each series, of the part that is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostinato.data.series import SeriesStore

__all__ = ["SCALES", "Scaling"]

SCALES = ("series", "all", "off")
_BLOCK = 1 << 18

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """Standardises: (x - mean) / spread, for each series and column.

    Attributes:
        kind: "series" (each series by its own values), "all" (one mean and spread for all), or
            "off".
        means: of each known series, by name, [C].
        spreads: the same; 1 where a column never changes.
    """

    kind: str
    means: Mapping[str, Table]
    spreads: Mapping[str, Table]

    @classmethod
    def of(cls, store: SeriesStore, stops: NDArray[np.int64], kind: str = "series") -> Scaling:
        """Measure the series of a store.

        Args:
            store: the series.
            stops: rows of each series that are looked at, from its beginning, [S].
            kind: see the class.

        Example:
            >>> from ostinato.data.series import SeriesColumns, read_series
            >>> store = read_series({"x": [1.0, 3.0, 9.0]}, SeriesColumns())
            >>> Scaling.of(store, np.array([2])).table(store)
            (array([[2.]]), array([[1.]]))
        """
        if kind not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {kind!r}.")
        width = store.values.shape[1]
        if kind == "off":
            return cls(kind, {"": np.zeros(width)}, {"": np.ones(width)})
        if kind == "all":
            mean, spread = _measure([store.series(k)[:stop] for k, stop in enumerate(stops)])
            return cls(kind, {"": mean}, {"": spread})
        measured = [_measure([store.series(k)[:stop]]) for k, stop in enumerate(stops)]
        return cls(
            kind,
            {name: mean for name, (mean, _) in zip(store.ids, measured, strict=True)},
            {name: spread for name, (_, spread) in zip(store.ids, measured, strict=True)},
        )

    def table(self, store: SeriesStore) -> tuple[Table, Table]:
        """Means and spreads of the series of a store, [S, C] each.

        A series that was not measured is, by all of its rows whose targets are known.
        """
        means, spreads = [], []
        for number, name in enumerate(store.ids):
            key = name if self.kind == "series" else ""
            if key in self.means:
                mean, spread = self.means[key], self.spreads[key]
            else:
                mean, spread = _measure([store.series(number)[: store.observed[number]]])
            means.append(mean)
            spreads.append(spread)
        return np.stack(means), np.stack(spreads)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes it again."""
        return {
            "kind": self.kind,
            "means": {name: mean.tolist() for name, mean in self.means.items()},
            "spreads": {name: spread.tolist() for name, spread in self.spreads.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scaling:
        tables = (
            {name: np.asarray(row, dtype=np.float64) for name, row in values[part].items()}
            for part in ("means", "spreads")
        )
        return cls(values["kind"], *tables)


def _measure(parts: list[Table]) -> tuple[Table, Table]:
    """Mean and standard deviation over all rows of all parts, block by block."""
    blocks = [part[k : k + _BLOCK] for part in parts for k in range(0, len(part), _BLOCK)]
    count = sum(len(block) for block in blocks)
    mean = np.sum([block.sum(axis=0) for block in blocks], axis=0) / count
    variance = np.sum([((block - mean) ** 2).sum(axis=0) for block in blocks], axis=0) / count
    spread = np.sqrt(variance)
    tiny = spread <= 1e-12 * np.maximum(np.abs(mean), 1)
    return mean, np.where(tiny, 1.0, spread)
