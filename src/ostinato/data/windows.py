"""From series to batches of windows: a stretch of the past, and the horizon that follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.data.calendar import calendar_features
from ostinato.data.columns import TableError
from ostinato.data.scaling import Scaling
from ostinato.data.series import SeriesStore

__all__ = ["Parts", "Share", "WindowBatches", "WindowReader", "WindowShape", "Windows", "split"]

Numbers = NDArray[np.int64]
# a share of the rows, a number of rows, or the date of the first row
Share = float | int | str


@dataclass(frozen=True)
class WindowShape:
    """What a window holds.

    Attributes:
        past: W, rows before the forecast.
        history: of these, the last ones that the encoder reads.
        horizon: H, rows to forecast.
        cycles: of the calendar; see `ostinato.data.calendar`.
    """

    past: int
    history: int
    horizon: int
    cycles: tuple[str, ...] = ()


# not frozen: Lightning makes copies of batches field by field
@dataclass
class Windows:
    """B windows, standardised, time first.

    Attributes:
        past: targets before the forecast, [W, B, Y].
        covariates: what is known of the past only, [history, B, P].
        known: what is known in advance, calendar included, [history + H, B, K].
        target: targets to forecast, [H, B, Y]; None where they are not known.
        series: number of the series of each window, int64 [B]; -1: not trained on.
    """

    past: Tensor
    covariates: Tensor
    known: Tensor
    target: Tensor | None
    series: Tensor

    def to(self, device: torch.device | str) -> Windows:
        """The same windows on another device."""
        target = None if self.target is None else self.target.to(device)
        return Windows(
            self.past.to(device),
            self.covariates.to(device),
            self.known.to(device),
            target,
            self.series.to(device),
        )

    def __len__(self) -> int:
        return self.past.shape[1]


@dataclass(frozen=True)
class Parts:
    """First row, and the row behind the last, of each part of each series, int64 [S, 2]."""

    train: Numbers
    validation: Numbers
    held_out: Numbers


def split(store: SeriesStore, train: Share | None, validation: Share, held_out: Share) -> Parts:
    """Cut each series into the part trained on, the part that decides, and the part held out.

    They follow each other in time. Given `train`, they are laid from the beginning, and what
    remains is not used; else from the end, and all that comes before is trained on.

    Args:
        store: the series; only rows whose targets are known count.
        train: share of the rows (below 1), number of rows, or the first date; None: the rest.
        validation: the same; a date is that of its first row.
        held_out: the same.

    Raises:
        TableError: a part reaches beyond a series, or a date lies outside of all.

    Example:
        >>> from ostinato.data.series import SeriesColumns, read_series
        >>> store = read_series({"x": range(100)}, SeriesColumns())
        >>> parts = split(store, None, 0.1, 20)
        >>> parts.train.tolist(), parts.validation.tolist(), parts.held_out.tolist()
        ([[0, 70]], [[70, 80]], [[80, 100]])
    """
    bounds = [_bounds(store, number, train, validation, held_out) for number in range(len(store))]
    cut = np.asarray(bounds, dtype=np.int64)
    return Parts(cut[:, [0, 1]], cut[:, [1, 2]], cut[:, [2, 3]])


def _bounds(
    store: SeriesStore, number: int, train: Share | None, validation: Share, held_out: Share
) -> tuple[int, int, int, int]:
    rows = int(store.observed[number])
    begin = _row_of(store, number, train) if isinstance(train, str) else 0
    if train is not None and not isinstance(train, str):
        if isinstance(validation, str) or isinstance(held_out, str):
            raise ValueError(
                "train is a share or a number of rows, so validation and held_out must be, too."
            )
        second = _rows(train, rows)
        third = second + _rows(validation, rows)
        end = third + _rows(held_out, rows)
    else:
        end = rows
        third = (
            _row_of(store, number, held_out)
            if isinstance(held_out, str)
            else end - _rows(held_out, rows)
        )
        second = (
            _row_of(store, number, validation)
            if isinstance(validation, str)
            else third - _rows(validation, rows)
        )
    if not 0 <= begin <= second <= third <= end <= rows:
        raise TableError(
            f"{store.title(number)} has {rows} rows, which cannot be cut into train={train}, "
            f"validation={validation} and held_out={held_out}: they would begin at rows "
            f"{begin}, {second} and {third} and end at {end}. Make a part smaller."
        )
    return begin, second, third, end


def _rows(share: Share, rows: int) -> int:
    assert not isinstance(share, str)
    # a whole number is a count, 0.1 a share
    return int(share) if share >= 1 else round(share * rows)


def _row_of(store: SeriesStore, number: int, date: str | Share | None) -> int:
    import polars as pl

    from ostinato.data.clock import parse_times

    times, dates, bad = parse_times(pl.Series([str(date)]))
    if bad is not None or dates == (store.clock.kind == "index"):
        kind = "number" if store.clock.kind == "index" else "date"
        raise TableError(f"{store.name}: {date!r} is no {kind} at which a part could begin.")
    rows = store.times(number, np.arange(store.observed[number]))
    return int(np.searchsorted(rows, times[0]))


class WindowReader:
    """Reads windows from a store, standardised.

    Args:
        store: the series.
        shape: what a window holds.
        scaling: how values are standardised.
        numbers: what `Windows.series` calls each series; None: its number in the store.

    Attributes:
        mean: of the targets of each series, [S, Y].
        spread: the same.
    """

    def __init__(
        self,
        store: SeriesStore,
        shape: WindowShape,
        scaling: Scaling,
        numbers: Numbers | None = None,
    ) -> None:
        self.store = store
        self.numbers = np.arange(len(store)) if numbers is None else numbers
        self.shape = shape
        self._mean, self._spread = scaling.table(store)
        self._targets = len(store.columns.targets)
        self._past = self._targets + len(store.columns.past)
        self.mean = self._mean[:, : self._targets]
        self.spread = self._spread[:, : self._targets]

    def read(self, series: Numbers, origins: Numbers, *, targets: bool = True) -> Windows:
        """The windows of some series [B] whose forecasts begin at these rows [B].

        Args:
            series: numbers of the series.
            origins: rows of their series at which the horizon begins.
            targets: the horizon's targets are there, too; else only what is known in advance.

        Raises:
            TableError: a window reaches beyond what the series has.
        """
        shape = self.shape
        self._check(series, origins, targets)
        begin = self.store.offsets[series] + origins
        past = self._rows(series, begin, -shape.past, 0)
        covariates = past[-shape.history :, :, self._targets : self._past]
        target = None
        if targets:
            ahead = self._rows(series, begin, 0, shape.horizon)
            target = _tensor(ahead[..., : self._targets])
        known = self._known(series, origins, begin)
        return Windows(
            _tensor(past[..., : self._targets]),
            _tensor(covariates),
            _tensor(known),
            target,
            torch.from_numpy(self.numbers[series]),
        )

    def actual(self, number: int, origins: Numbers) -> NDArray[np.float32]:
        """Targets of the horizon of windows of one series [B], NaN where unknown, [B, H, Y]."""
        rows = origins[:, None] + np.arange(self.shape.horizon)
        observed = int(self.store.observed[number])
        values = self.store.series(number)[np.minimum(rows, observed - 1), : self._targets]
        values = (values - self.mean[number]) / self.spread[number]
        values[rows >= observed] = np.nan
        return np.asarray(values, dtype=np.float32)

    def _check(self, series: Numbers, origins: Numbers, targets: bool) -> None:
        short = np.flatnonzero(origins < self.shape.past)
        if len(short):
            first = int(series[short[0]])
            raise TableError(
                f"{self.store.title(first)}: {int(origins[short[0]])} row(s) of history are there, "
                f"but {self.shape.past} are needed to forecast {self.shape.horizon} step(s). Give "
                "more rows, or fit with a shorter history and fewer lags."
            )
        have = self.store.observed if targets else self.store.lengths
        if targets or self._past < self.store.values.shape[1]:
            beyond = np.flatnonzero(origins + self.shape.horizon > have[series])
            if len(beyond):
                first = int(series[beyond[0]])
                rows = int(have[first] - origins[beyond[0]])
                names = ", ".join(self.store.columns.known if not targets else ["the targets"])
                raise TableError(
                    f"{self.store.title(first)}: {names} must be known for the {self.shape.horizon}"
                    f" step(s) to forecast, but only {rows} row(s) follow. Add rows with {names}, "
                    "or forecast fewer steps."
                )

    def _rows(self, series: Numbers, begin: Numbers, first: int, stop: int) -> NDArray[np.float32]:
        rows = begin + np.arange(first, stop)[:, None]
        values = (self.store.values[rows] - self._mean[series]) / self._spread[series]
        return np.asarray(values, dtype=np.float32)

    def _known(self, series: Numbers, origins: Numbers, begin: Numbers) -> NDArray[np.float32]:
        shape = self.shape
        steps = np.arange(-shape.history, shape.horizon)[:, None]
        parts = []
        if self._past < self.store.values.shape[1]:
            parts.append(
                self._rows(series, begin, -shape.history, shape.horizon)[..., self._past :]
            )
        ticks = self.store.starts[series] + origins + steps
        parts.append(calendar_features(self.store.clock.times(ticks), shape.cycles))
        return np.concatenate(parts, axis=-1)


class WindowBatches:
    """Walks over the windows whose horizon lies in a part of each series, in batches.

    Args:
        reader: reads them.
        part: first row and the row behind the last, of each series, [S, 2]. The past of a window
            may reach back before the part, unless `inside`.
        batch_size: B.
        most: windows of an epoch at most: shuffled, others are drawn for each epoch; else they are
            spread evenly.
        shuffle: in an order of its own for each epoch.
        seed: of the orders.
        inside: the past, too, lies in the part.

    Raises:
        TableError: there is no window at all.
    """

    def __init__(
        self,
        reader: WindowReader,
        part: Numbers,
        batch_size: int,
        *,
        most: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        inside: bool = False,
    ) -> None:
        self.reader = reader
        self.batch_size = batch_size
        self.most = most
        self.shuffle = shuffle
        self.seed = seed
        shape = reader.shape
        least = part[:, 0] + shape.past if inside else np.maximum(part[:, 0], shape.past)
        self.first = least
        self.counts = np.maximum(part[:, 1] - shape.horizon - least + 1, 0)
        self.ends = np.cumsum(self.counts)
        self._rank, self._world = 0, 1
        if not self.ends[-1]:
            raise _too_short(reader.store, part, shape)

    @property
    def windows(self) -> int:
        """How many there are."""
        return int(self.ends[-1])

    def epoch(self, number: int) -> Sequence[Windows]:
        """The batches of one epoch, each made when it is asked for."""
        return _Epoch(self._batches(number), self._make)

    def shard(self, rank: int, world_size: int) -> WindowBatches:
        """One rank's share: every `world_size`-th batch, as many for each rank."""
        share = WindowBatches.__new__(WindowBatches)
        share.__dict__.update(self.__dict__)
        share._rank, share._world = rank, world_size
        return share

    def __len__(self) -> int:
        count = min(self.windows, self.most or self.windows)
        batches = (count + self.batch_size - 1) // self.batch_size
        return (batches + self._world - 1) // self._world

    def __iter__(self) -> Iterator[Windows]:
        return iter(self.epoch(0))

    def places(self, windows: Numbers) -> tuple[Numbers, Numbers]:
        """Series and origin of windows, which are counted series by series."""
        series = np.searchsorted(self.ends, windows, side="right")
        before = self.ends[series] - self.counts[series]
        return series, self.first[series] + windows - before

    def _batches(self, number: int) -> list[Numbers]:
        count = min(self.windows, self.most or self.windows)
        if self.shuffle:
            # number and seed together, so that neighbouring seeds share no epoch
            draws = np.random.default_rng((self.seed, number))
            chosen = draws.choice(self.windows, count, replace=False)
        else:
            chosen = np.arange(count) * self.windows // count
        batches = [chosen[k : k + self.batch_size] for k in range(0, count, self.batch_size)]
        whole = -(-len(batches) // self._world) * self._world
        return (batches + batches[: whole - len(batches)])[self._rank :: self._world]

    def _make(self, windows: Numbers) -> Windows:
        return self.reader.read(*self.places(windows))


class _Epoch(Sequence[Windows]):
    def __init__(self, batches: list[Numbers], make: Callable[[Numbers], Windows]) -> None:
        self._batches = batches
        self._make = make

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, k: int) -> Windows:  # type: ignore[override]
        return self._make(self._batches[k])


def _too_short(store: SeriesStore, part: Numbers, shape: WindowShape) -> TableError:
    longest = int(np.argmax(part[:, 1] - part[:, 0]))
    rows = int(part[longest, 1] - part[longest, 0])
    return TableError(
        f"{store.title(longest)}: a part of {rows} rows holds no window of {shape.past} rows of "
        f"history and {shape.horizon} to forecast. Give a shorter horizon, history or lags, or "
        "more rows."
    )


def _tensor(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
