"""From what a layer says at each step to one vector a row: its end, mean, maximum, or attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.config import nearest
from ostinato.layers.shapes import Lengths, check_lengths, within

__all__ = [
    "AttentionPooling",
    "LastPooling",
    "MaxPooling",
    "MeanPooling",
    "Pooling",
    "Pools",
    "pooling_by_name",
]


class Pooling(nn.Module):
    """Base: [T, B, O] and the lengths of the rows to one vector a row; padding has no part in it.

    A subclass writes `pool(y, lengths)`. A row of no steps gives zeros.

    Args:
        size: O, width of a step.

    Attributes:
        output_size: width of the vector.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.output_size = size

    def forward(self, y: Tensor, lengths: Lengths | None = None) -> Tensor:
        """One vector [B, output_size] a row of y [T, B, O].

        Raises:
            ValueError: y has another shape, or lengths are outside 0..T.
        """
        if y.dim() != 3 or y.shape[-1] != self.size:
            raise ValueError(
                f"{type(self).__name__}: y must be [time, batch, {self.size}], got {list(y.shape)}."
            )
        T, B = y.shape[:2]
        if T == 0:
            return y.new_zeros(B, self.output_size)
        ends = None
        if lengths is not None:
            ends = check_lengths(type(self).__name__, lengths, T, B, y.device)
        if ends is None:
            ends = torch.full((B,), T, device=y.device)
        else:
            y = y.masked_fill(~within(ends, T)[:, :, None], 0)
        pooled = self.pool(y, ends)
        return pooled.masked_fill((ends == 0)[:, None], 0)

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        """What `forward` does, for T of at least 1, lengths int64 [B], and zeros for padding."""
        raise NotImplementedError


class LastPooling(Pooling):
    """What is said after the last step of each row.

    Args:
        size: O, width of a step.
        bidirectional: the second half of a step comes from a walk from the end, so that its last
            word stands at the first step.

    Example:
        >>> y = torch.tensor([[1.0, 2.0, 3.0]]).T.reshape(3, 1, 1)
        >>> LastPooling(1)(y, [2]).item()
        2.0
    """

    def __init__(self, size: int, *, bidirectional: bool = False) -> None:
        super().__init__(size)
        self.bidirectional = bidirectional

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        rows = torch.arange(y.shape[1], device=y.device)
        last = y[(lengths - 1).clamp(min=0), rows]
        if not self.bidirectional:
            return last
        half = self.size // 2
        return torch.cat([last[:, :half], y[0, :, half:]], dim=-1)


class MeanPooling(Pooling):
    """The mean over the steps of each row.

    Example:
        >>> MeanPooling(1)(torch.tensor([1.0, 3.0, 8.0]).reshape(3, 1, 1), [2]).item()
        2.0
    """

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.sum(0) / lengths.clamp(min=1)[:, None]


class MaxPooling(Pooling):
    """The largest value of each entry over the steps of each row.

    Source: Collobert, Weston, Bottou, Karlen, Kavukcuoglu, Kuksa (2011), "Natural Language
    Processing (Almost) from Scratch", JMLR 12.

    Example:
        >>> MaxPooling(1)(torch.tensor([1.0, -3.0, 8.0]).reshape(3, 1, 1), [2]).item()
        1.0
    """

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        inside = within(lengths, len(y))[:, :, None]
        return y.masked_fill(~inside, torch.finfo(y.dtype).min).amax(0)


class AttentionPooling(Pooling):
    r"""A mean over the steps of each row, weighted by what each of them says.

        u[t] = tanh(W y[t] + b),  a = softmax over t of (u[t] . v),  s = sum over t of a[t] y[t]

    Source: Yang, Yang, Dyer, He, Smola, Hovy (2016), "Hierarchical Attention Networks for Document
    Classification", NAACL: their attention over words.

    Args:
        size: O, width of a step.
        hidden: A, width of u; O unless given.

    Shapes: y [T, B, O] -> [B, O]. Parameters: project.weight [A, O], project.bias [A], query [A].

    Example:
        >>> attend = AttentionPooling(3)
        >>> attend.weights(torch.zeros(4, 1, 3), torch.tensor([2])).detach().flatten()
        tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """

    def __init__(self, size: int, *, hidden: int | None = None) -> None:
        super().__init__(size)
        self.project = nn.Linear(size, hidden or size)
        width = hidden or size
        self.query = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))

    def weights(self, y: Tensor, lengths: Tensor) -> Tensor:
        """Weight of each step, [T, B]; 0 for padding, and 0 all over a row of no steps."""
        scores = torch.tanh(self.project(y)) @ self.query
        outside = ~within(lengths, len(y))
        weights = scores.masked_fill(outside, torch.finfo(scores.dtype).min).softmax(0)
        return weights.masked_fill(outside, 0)

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        weights = self.weights(y, lengths)
        return torch.einsum("tb,tbo->bo", weights.to(y), y)


class Pools(Pooling):
    """Several poolings, one beside the other.

    Example:
        >>> Pools([MeanPooling(3), MaxPooling(3)]).output_size
        6
    """

    def __init__(self, parts: Sequence[Pooling]) -> None:
        super().__init__(parts[0].size)
        self.parts = nn.ModuleList(parts)
        self.output_size = sum(part.output_size for part in parts)

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([part(y, lengths) for part in self.parts], dim=-1)


_NAMES = ("last", "mean", "max", "attention")


def pooling_by_name(name: str, size: int, *, bidirectional: bool = False) -> Pooling:
    """The pooling of that name, or several, joined by "+".

    Args:
        name: "last", "mean", "max" or "attention"; or e.g. "mean+max".
        size: O, width of a step.
        bidirectional: half of a step comes from a walk from the end.

    Raises:
        ValueError: there is none of that name.

    Example:
        >>> pooling_by_name("last+max", 4).output_size
        8
        >>> pooling_by_name("men", 4)
        Traceback (most recent call last):
        ValueError: pooling: there is no 'men'. Did you mean mean?
    """
    parts = [_one(part.strip(), size, bidirectional) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else Pools(parts)


def _one(name: str, size: int, bidirectional: bool) -> Pooling:
    if name == "last":
        return LastPooling(size, bidirectional=bidirectional)
    kinds: dict[str, type[Pooling]] = {
        "mean": MeanPooling,
        "max": MaxPooling,
        "attention": AttentionPooling,
    }
    if name not in kinds:
        raise ValueError(f"pooling: there is no {name!r}{nearest(name, _NAMES)}")
    return kinds[name](size)
