"""A stranger's module with a batch: what checks can look at of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ostinato.doctor.calls import layers_of, tensors_of
from ostinato.doctor.findings import NotAsked, NotThere
from ostinato.doctor.patient import Patient

__all__ = ["Loss", "PlainBatch", "PlainPatient", "disturbed"]

# what the module returned, targets -> a scalar
Loss: TypeAlias = Callable[[Any, Any], Tensor]


class PlainBatch:
    """What a module is called with, and what it is to say.

    Attributes:
        inputs: positional arguments; the first holds the sequences.
        targets: what the loss compares with; None: nothing.
    """

    def __init__(self, data: Any) -> None:
        told = tuple(data) if isinstance(data, (tuple, list)) else (data,)
        if not told or len(told) > 2 or not tensors_of(told[0]):
            raise ValueError(
                "doctor: of a plain module, data must be a batch: a tensor, or (inputs, targets) "
                f"with inputs a tensor or a tuple of arguments, got {_kind(data)}."
            )
        first = told[0]
        self.inputs: tuple[Any, ...] = (
            tuple(first) if isinstance(first, (tuple, list)) else (first,)
        )
        self.targets = told[1] if len(told) == 2 else None

    @property
    def x(self) -> Tensor:
        """The sequences."""
        return tensors_of(self.inputs)[0]

    def replaced(self, x: Tensor) -> PlainBatch:
        """The same with other sequences."""
        other = PlainBatch((self.inputs, self.targets))
        old = self.x
        other.inputs = tuple(x if part is old else part for part in self.inputs)
        return other


class PlainPatient(Patient):
    """Any module with recurrent layers of torch or of ours.

    Args:
        module: called as module(*inputs).
        data: a batch; see `PlainBatch`; None: only the weights are looked at.
        loss: of (what the module returned, targets).
        lengths: valid steps of each row, where rows are padded, int64 [B].
        batch_axis: axis of the sequences along which rows lie, 0 or 1; None: found from `lengths`
            or from targets [B], if these tell.
        seed: of what checks draw.

    Raises:
        ValueError: the module has no recurrent layer, or the batch cannot be used.
    """

    def __init__(
        self,
        module: nn.Module,
        data: Any = None,
        *,
        loss: Loss | None = None,
        lengths: Any = None,
        batch_axis: int | None = None,
        seed: int = 0,
    ) -> None:
        found = layers_of(module)
        if not found:
            raise ValueError(
                f"doctor: {type(module).__name__} has no recurrent layer. Give a module with layers"
                " of ostinato, or with torch.nn.RNN, LSTM or GRU."
            )
        told = ", ".join(
            f"{name or 'itself'} {type(part).__name__}" for name, part in found.items()
        )
        super().__init__(module, f"{type(module).__name__}: {told}", seed)
        self._batch = None if data is None else PlainBatch(data)
        self._given_loss = loss
        self.lengths = None if lengths is None else torch.as_tensor(lengths)
        self._axis = self._row_axis(batch_axis)

    @property
    def batches(self) -> Sequence[Any]:
        if self._batch is None:
            raise NotThere("there is no batch: give data=(inputs, targets)")
        return [self._batch]

    def _loss(self, batch: PlainBatch) -> Tensor:
        if self._given_loss is None:
            raise NotThere("there is no loss: give loss=, of what the module returns and targets")
        value = self._given_loss(self.module(*batch.inputs), batch.targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"doctor: loss must return one number, got {what}. Take its mean.")
        return value.reshape(())

    def _outputs(self, batch: PlainBatch) -> Tensor:
        found = tensors_of(self.module(*batch.inputs))
        if not found:
            raise NotThere("the module returns no tensor")
        return found[0]

    @property
    def row_axis(self) -> int:
        """Rows of the outputs: one number a row, or an axis where the sequences have it."""
        if self._axis is None:
            raise NotThere("nobody said which axis of the batch holds its rows: give batch_axis")
        batch = self.batches[0]
        rows, steps = batch.x.shape[self._axis], batch.x.shape[1 - self._axis]
        shape = self._output_shape(batch)
        if len(shape) > self._axis and shape[self._axis] == rows:
            same = self._axis == 0 or shape[0] == steps
            if same:
                return self._axis
        if shape[:1] == (rows,):
            return 0
        raise NotThere(f"no axis of the outputs {list(shape)} holds the {rows} rows")

    @property
    def time_axis(self) -> int:
        """The axis of the sequences along which time runs."""
        if self._axis is None:
            raise NotThere("nobody said which axis of the batch holds its rows: give batch_axis")
        return 1 - self._axis

    def _output_shape(self, batch: PlainBatch) -> tuple[int, ...]:
        with self.still():
            return tuple(self.outputs(batch).shape)

    def other_row(self, batch: PlainBatch) -> tuple[Any, int] | None:
        if self._axis is None:
            raise NotThere("nobody said which axis of the batch holds its rows: give batch_axis")
        rows = batch.x.shape[self._axis]
        if rows < 2:
            return None
        place = rows // 2
        x = batch.x.clone()
        x.select(self._axis, place).copy_(disturbed(x).select(self._axis, place))
        return batch.replaced(x), place

    def other_padding(self, batch: PlainBatch) -> tuple[Any, float]:
        if self.lengths is None:
            raise NotThere("nobody said how long the rows are: give lengths")
        x = batch.x
        steps = torch.arange(x.shape[self.time_axis], device=x.device)
        ends = self.lengths.to(x.device)
        padded = steps[None, :] >= ends[:, None] if self._axis == 0 else steps[:, None] >= ends
        if not bool(padded.any()):
            raise NotThere("no row of the batch is shorter than another")
        mask = padded.reshape(*padded.shape, *[1] * (x.dim() - 2))
        # a copy of the same layout, by which a module may draw
        changed = x.clone().copy_(torch.where(mask, disturbed(x), x))
        return batch.replaced(changed), float(padded.float().mean())

    def _row_axis(self, given: int | None) -> int | None:
        if given is not None and given not in (0, 1):
            raise ValueError(f"doctor: batch_axis must be 0 or 1, got {given}.")
        if self._batch is None:
            return given
        x, targets = self._batch.x, self._batch.targets
        if x.dim() < 2:
            raise ValueError(
                f"doctor: the sequences must have axes of rows and time, got {list(x.shape)}."
            )
        count = None
        if self.lengths is not None:
            count = len(self.lengths)
        elif isinstance(targets, Tensor) and targets.dim() == 1:
            count = len(targets)
        if given is not None:
            if self.lengths is not None and x.shape[given] != count:
                raise ValueError(
                    f"doctor: {count} lengths for {x.shape[given]} rows along axis {given} of "
                    f"{list(x.shape)}. Give one length a row."
                )
            return given
        fits = [axis for axis in (0, 1) if x.shape[axis] == count]
        return fits[0] if len(fits) == 1 else None


def disturbed(x: Tensor) -> Tensor:
    """Something else of the same kind, everywhere; the same for each call.

    Example:
        >>> disturbed(torch.tensor([[1, 2], [0, 2]])).tolist()
        [[2, 0], [1, 0]]
    """
    if x.is_floating_point():
        return x.flip(-1) * 0.5 - x.std(unbiased=False) - 1
    lowest, highest = int(x.min()), int(x.max())
    if lowest == highest:
        raise NotAsked("all its tokens are the same")
    return (x - lowest + 1) % (highest - lowest + 1) + lowest


def _kind(data: Any) -> str:
    if isinstance(data, (tuple, list)):
        return f"{type(data).__name__} of {len(data)}"
    return type(data).__name__
