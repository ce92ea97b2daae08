"""Where boxes stand: in layers from left to right, with few crossings, none on another.

The steps are those of the Sugiyama framework, as Bachmaier, Brandenburg, Brunner and Lovasz have it
("Cyclic Leveling of Directed Graphs"): each box goes to the layer after the last of those it
reads; an arrow over several layers gets a place of its own in each of them; layers are ordered by
the mean place of their neighbours, and the order with the fewest crossings stays; then heights are
moved towards those of the neighbours, as near as order and distance allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from ostinato.inspect.diagrams.graph import Arrow, Graph

__all__ = ["ROOM", "Layout", "Size", "lay_out"]

# height that each arrow with a label gets at its target
ROOM = 14.0
_GAP_X, _GAP_Y, _LANE = 46.0, 18.0, 6.0
_SWEEPS = 40
# distance of an arrow from the one that it runs against
_BESIDE = 8.0

Path: TypeAlias = "tuple[tuple[float, float], ...]"


@dataclass(frozen=True)
class Size:
    """Width and height of a box."""

    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A graph's places on paper, in pixels from the left and from the top.

    Attributes:
        centres: of each box, by key.
        paths: for each arrow between different boxes the points that it passes, from box to box.
        width: of the whole.
        height: of the whole.
    """

    centres: Mapping[str, tuple[float, float]]
    paths: Mapping[Arrow, Path]
    width: float
    height: float


def lay_out(graph: Graph, sizes: Mapping[str, Size], *, last: Sequence[str] = ()) -> Layout:
    """Find places for the boxes of a graph without loops.

    Args:
        graph: its forward arrows count, and those that come back a step later.
        sizes: of each box, by key.
        last: keys of boxes that belong at the right end.

    Raises:
        ValueError: the arrows run in a circle.
    """
    arrows = [arrow for arrow in graph.arrows if arrow.kind == "forward"]
    # what comes back a step later is led as if it ran forward
    later = {_turned(a): a for a in graph.arrows if a.kind == "later" and a.source != a.target}
    layers = _Layers(list(graph.boxes), [*arrows, *later], frozenset(last))
    layers.order()
    found = layers.placed(sizes)
    paths = {a: path for a, path in found.paths.items() if a not in later}
    paths |= {own: _beside(found.paths[turned]) for turned, own in later.items()}
    paths |= _against(graph, paths)
    return Layout(found.centres, paths, found.width, found.height + 2 * _BESIDE)


def _turned(arrow: Arrow) -> Arrow:
    return Arrow(arrow.target, arrow.source, arrow.label, arrow.kind)


def _beside(path: Path) -> Path:
    """The way back along a path, beside it."""
    return tuple((x, y + _BESIDE) for x, y in reversed(path))


def _against(graph: Graph, paths: Mapping[Arrow, Path]) -> dict[Arrow, Path]:
    """Arrows that run against others, beside them."""
    ways = {(arrow.source, arrow.target): path for arrow, path in paths.items()}
    return {
        arrow: _beside(ways[arrow.target, arrow.source])
        for arrow in graph.arrows
        if arrow.kind == "backward" and arrow.source != arrow.target
    }


class _Layers:
    """Boxes and the way-points of long arrows, layer by layer."""

    def __init__(self, keys: list[str], arrows: list[Arrow], last: frozenset[str]) -> None:
        self.arrows = arrows
        self.rank = _ranks(keys, arrows, last)
        self.layers: list[list[str]] = [[] for _ in range(max(self.rank.values(), default=0) + 1)]
        for key in keys:
            self.layers[self.rank[key]].append(key)
        self.boxes = frozenset(keys)
        # arrow -> its points, box to box; neighbours to the left and right of each point
        self.chains: dict[Arrow, list[str]] = {}
        self.left: dict[str, list[str]] = defaultdict(list)
        self.right: dict[str, list[str]] = defaultdict(list)
        for number, arrow in enumerate(arrows):
            self._chain(number, arrow)

    def _chain(self, number: int, arrow: Arrow) -> None:
        start, stop = self.rank[arrow.source], self.rank[arrow.target]
        between = [f"{number}/{layer}" for layer in range(start + 1, stop)]
        for layer, point in enumerate(between, start + 1):
            self.layers[layer].append(point)
        self.chains[arrow] = [arrow.source, *between, arrow.target]
        for one, other in pairwise(self.chains[arrow]):
            self.right[one].append(other)
            self.left[other].append(one)

    # the order within layers

    def order(self) -> None:
        """Sort each layer by its neighbours, to and fro, and keep the best order seen."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            forth = sweep % 2 == 0
            numbers = range(1, len(self.layers)) if forth else range(len(self.layers) - 2, -1, -1)
            for number in numbers:
                self._sort(
                    number, self.left if forth else self.right, number - 1 if forth else number + 1
                )
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _sort(self, number: int, near: Mapping[str, list[str]], other: int) -> None:
        places = {key: place for place, key in enumerate(self.layers[other])}
        layer = self.layers[number]

        def middle(key: str) -> float:
            found = [places[n] for n in near.get(key, ())]
            return sum(found) / len(found) if found else layer.index(key)

        wanted = {key: middle(key) for key in layer}
        self.layers[number] = sorted(layer, key=lambda key: wanted[key])

    def _crossings(self) -> int:
        return sum(self._crossings_after(k) for k in range(len(self.layers) - 1))

    def _crossings_after(self, number: int) -> int:
        places = {key: place for place, key in enumerate(self.layers[number + 1])}
        ends = [sorted(places[n] for n in self.right.get(key, ())) for key in self.layers[number]]
        seen: list[int] = []
        count = 0
        for group in ends:
            count += sum(1 for end in group for earlier in seen if earlier > end)
            seen += group
        return count

    # places on paper

    def placed(self, sizes: Mapping[str, Size]) -> Layout:
        ys = self._heights(sizes)
        widths = [
            max((sizes[k].width for k in layer if k in sizes), default=0) for layer in self.layers
        ]
        lefts = [0.0]
        for number, width in enumerate(widths):
            lefts.append(lefts[-1] + width + _GAP_X + self._slack(number))
        centres = {
            key: (lefts[rank] + widths[rank] / 2, ys[key]) for key, rank in self.rank.items()
        }
        paths = {
            arrow: tuple(self._path(chain, arrow, sizes, ys, lefts, widths))
            for arrow, chain in self.chains.items()
        }
        width = lefts[len(self.layers) - 1] + widths[-1] if widths else 0.0
        height = max((ys[k] + sizes[k].height / 2 for k in self.boxes), default=0.0)
        points = [y for path in paths.values() for _, y in path]
        return Layout(centres, paths, width, max([height, *points]))

    def _slack(self, number: int) -> float:
        """Room for curves and labels: more where many arrows pass, or one has something to say."""
        passing = sum(len(self.right.get(key, ())) for key in self.layers[number])
        labels = [
            a.label for a, c in self.chains.items() if a.label and self.rank[c[-1]] - 1 == number
        ]
        return min(2.0 * passing, 40.0) + 6.5 * max(map(len, labels), default=0)

    def _path(
        self,
        chain: list[str],
        arrow: Arrow,
        sizes: Mapping[str, Size],
        ys: Mapping[str, float],
        lefts: Sequence[float],
        widths: Sequence[float],
    ) -> list[tuple[float, float]]:
        rank = self.rank[arrow.source]
        half = sizes[arrow.source].width / 2
        points = [(lefts[rank] + widths[rank] / 2 + half, ys[arrow.source])]
        points.append((lefts[rank] + widths[rank], ys[arrow.source]))
        for layer, point in enumerate(chain[1:-1], rank + 1):
            points += [(lefts[layer], ys[point]), (lefts[layer] + widths[layer], ys[point])]
        last = self.rank[arrow.target]
        y = self._entry(arrow, sizes, ys)
        points.append((lefts[last], y))
        points.append((lefts[last] + widths[last] / 2 - sizes[arrow.target].width / 2, y))
        return points

    def _entry(self, arrow: Arrow, sizes: Mapping[str, Size], ys: Mapping[str, float]) -> float:
        """Where an arrow meets its target: several stand apart, in the order in which they come."""
        coming = [a for a in self.arrows if a.target == arrow.target]
        coming.sort(key=lambda a: ys[self.chains[a][-2]])
        apart = min(ROOM, (sizes[arrow.target].height - 8) / max(len(coming) - 1, 1))
        return ys[arrow.target] + apart * (coming.index(arrow) - (len(coming) - 1) / 2)

    def _heights(self, sizes: Mapping[str, Size]) -> dict[str, float]:
        ys: dict[str, float] = {}
        for layer in self.layers:
            y = 0.0
            for key in layer:
                half = self._half(key, sizes)
                ys[key] = y + half
                y += 2 * half + _GAP_Y
        for sweep in range(_SWEEPS):
            layers = self.layers if sweep % 2 == 0 else self.layers[::-1]
            for layer in layers:
                self._settle(layer, sizes, ys)
        for chain in self.chains.values():
            self._straighten(chain, sizes, ys)
        top = min((ys[k] - self._half(k, sizes) for k in ys), default=0.0)
        return {key: y - top for key, y in ys.items()}

    def _straighten(
        self, chain: list[str], sizes: Mapping[str, Size], ys: dict[str, float]
    ) -> None:
        """Lead a long arrow past its layers at one height, where there is room for that."""
        points = chain[1:-1]
        for wanted in (
            ys[chain[-1]],
            ys[chain[0]],
            sum(ys[p] for p in points) / (len(points) or 1),
        ):
            if all(self._fits(point, wanted, sizes, ys) for point in points):
                ys.update(dict.fromkeys(points, wanted))
                return

    def _fits(
        self, key: str, wanted: float, sizes: Mapping[str, Size], ys: Mapping[str, float]
    ) -> bool:
        layer = next(layer for layer in self.layers if key in layer)
        place = layer.index(key)
        above, below = layer[:place][-1:], layer[place + 1 :][:1]
        return all(ys[n] + self._apart(n, key, sizes) <= wanted for n in above) and all(
            wanted + self._apart(key, n, sizes) <= ys[n] for n in below
        )

    def _apart(self, above: str, below: str, sizes: Mapping[str, Size]) -> float:
        """The least distance of two neighbours in a layer."""
        gap = _GAP_Y if above in self.boxes or below in self.boxes else _LANE
        return self._half(above, sizes) + gap + self._half(below, sizes)

    def _settle(self, layer: list[str], sizes: Mapping[str, Size], ys: dict[str, float]) -> None:
        """Move a layer's points towards their neighbours; long arrows pull hardest."""
        wanted, weights, offsets, below = [], [], [], 0.0
        for place, key in enumerate(layer):
            if place:
                below += self._apart(layer[place - 1], key, sizes)
            near = [n for side in (self.left, self.right) for n in side.get(key, ())]
            pulls = [
                (1.0 if key in self.boxes else 16.0 if n not in self.boxes else 4.0) for n in near
            ]
            mean = sum(p * ys[n] for p, n in zip(pulls, near, strict=True))
            wanted.append((mean / sum(pulls) if near else ys[key]) - below)
            weights.append(sum(pulls) or 0.1)
            offsets.append(below)
        for key, y, offset in zip(layer, _rising(wanted, weights), offsets, strict=True):
            ys[key] = y + offset

    def _half(self, key: str, sizes: Mapping[str, Size]) -> float:
        return sizes[key].height / 2 if key in self.boxes else _LANE


def _ranks(keys: list[str], arrows: list[Arrow], last: frozenset[str]) -> dict[str, int]:
    """The layer of each box: one after the last of those it reads."""
    sources: dict[str, list[str]] = {key: [] for key in keys}
    for arrow in arrows:
        sources[arrow.target].append(arrow.source)
    ranks: dict[str, int] = {}
    waiting = list(keys)
    while waiting:
        ready = [k for k in waiting if all(s in ranks for s in sources[k])]
        if not ready:
            raise ValueError(f"A layout needs arrows without a circle; one runs by {waiting[0]!r}.")
        for key in ready:
            ranks[key] = max((ranks[s] + 1 for s in sources[key]), default=0)
        waiting = [k for k in waiting if k not in ranks]
    end = max(ranks.values(), default=0)
    return {key: end if key in last else rank for key, rank in ranks.items()}


def _rising(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The numbers nearest to those wanted, weighted squares, that never fall."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, wa, na), (b, wb, nb) = pools[-2:]
            pools[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return [value for value, _, count in pools for _ in range(count)]
