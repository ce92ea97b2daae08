"""Attention: at each step, look up what was said at the steps of another sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.layers.shapes import Lengths, check_lengths

__all__ = [
    "AdditiveAttention",
    "Attention",
    "ConcatAttention",
    "DotAttention",
    "GeneralAttention",
    "Memory",
    "attention_by_name",
]


class Memory(NamedTuple):
    """A sequence that is attended to, made ready once: what `Attention.memory` returns.

    Attributes:
        values: what is looked up, [B, S, M].
        keys: what is compared with a query, [B, S, K].
        valid: which steps are no padding, bool [B, S].
    """

    values: Tensor
    keys: Tensor
    valid: Tensor

    def select(self, rows: Tensor) -> Memory:
        """The memories of some rows of the batch, in that order."""
        return Memory(*(part.index_select(0, rows.to(part.device)) for part in self))


class Attention(nn.Module):
    """Base: weighs the steps of a memory for each query, and returns their weighted mean.

    A subclass says what the keys of a memory are, and how a query scores against them.

    Args:
        query_size: Q, width of a query.
        memory_size: M, width of a step of the memory.

    Shapes: memory [S, B, M]; queries [T, B, Q] -> contexts [T, B, M], weights [T, B, S]; of one
    step, [B, Q] -> [B, M], [B, S]. Of one step, each row may also ask n times, one after the other:
    [B*n, Q] -> [B*n, M], [B*n, S]. Padding has the weight 0; where all is padding, so is
    the context.

    Example:
        >>> attend = AdditiveAttention(4, 6)
        >>> memory = attend.memory(torch.zeros(5, 2, 6), lengths=[5, 2])
        >>> context, weights = attend(torch.zeros(3, 2, 4), memory)
        >>> context.shape, weights[0, 1].detach()
        (torch.Size([3, 2, 6]), tensor([0.5000, 0.5000, 0.0000, 0.0000, 0.0000]))
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size = query_size
        self.memory_size = memory_size

    def memory(self, values: Tensor, lengths: Lengths | None = None) -> Memory:
        """Make a sequence ready to be attended to.

        Args:
            values: [S, B, M].
            lengths: valid steps of each row, [B]; the rest is padding.

        Raises:
            ValueError: a shape is wrong, or lengths are outside 0..S.
        """
        if values.dim() != 3 or values.shape[-1] != self.memory_size:
            raise ValueError(
                f"{type(self).__name__}: a memory must be [time, batch, {self.memory_size}], got "
                f"{list(values.shape)}."
            )
        S, B = values.shape[:2]
        valid = torch.ones(B, S, dtype=torch.bool, device=values.device)
        ends = None
        if lengths is not None:
            ends = check_lengths(type(self).__name__, lengths, S, B, values.device)
        if ends is not None:
            valid = torch.arange(S, device=values.device) < ends[:, None]
        rows = values.transpose(0, 1)
        return Memory(rows, self._keys(rows), valid)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts and weights; see Shapes."""
        single = queries.dim() == 2
        B = len(memory.values)
        asked = queries.view(B, -1, self.query_size) if single else queries.transpose(0, 1)
        scores = self._scores(asked, memory.keys)
        valid = memory.valid.unsqueeze(1)
        # not minus infinity: a row without any step would become NaN
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1) * valid
        contexts = weights @ memory.values
        if single:
            return contexts.flatten(0, 1), weights.flatten(0, 1)
        return contexts.transpose(0, 1), weights.transpose(0, 1)

    def _keys(self, values: Tensor) -> Tensor:
        raise NotImplementedError

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, T, S] from [B, T, Q] and [B, S, K]."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.memory_size}"


class DotAttention(Attention):
    """score(h_t, h_s) = h_t . h_s

    Source: Luong, Pham, Manning (2015), "Effective Approaches to Attention-based Neural Machine
    Translation", EMNLP, arXiv:1508.04025, section 3.1.

    Args, Shapes: see `Attention`; Q and M must be equal.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        if query_size != memory_size:
            raise ValueError(
                f"DotAttention: query and memory must be equally wide, got {query_size} and "
                f"{memory_size}. Take GeneralAttention, or make them equal."
            )

    def _keys(self, values: Tensor) -> Tensor:
        return values

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(1, 2)


class GeneralAttention(Attention):
    """score(h_t, h_s) = h_t . (W h_s)

    Source: Luong, Pham, Manning (2015), arXiv:1508.04025, section 3.1.

    Args, Shapes: see `Attention`. Parameters: key.weight [Q, M].
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def _keys(self, values: Tensor) -> Tensor:
        keys: Tensor = self.key(values)
        return keys

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(1, 2)


class AdditiveAttention(Attention):
    """score(s_t, h_j) = v . tanh(W s_t + U h_j)

    Source: Bahdanau, Cho, Bengio (2015), "Neural Machine Translation by Jointly Learning to Align
    and Translate", ICLR, arXiv:1409.0473, appendix A.1.2. There the query is the decoder's state of
    the step before; here it is whatever is asked with.

    Args:
        query_size: Q, width of a query.
        memory_size: M, width of a step of the memory.
        size: K, width of the sum; Q unless given.

    Shapes: see `Attention`. Parameters: query.weight [K, Q], key.weight [K, M], score.weight
    [1, K].
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        size = query_size if size is None else size
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def _keys(self, values: Tensor) -> Tensor:
        keys: Tensor = self.key(values)
        return keys

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        drive = self.query(queries).unsqueeze(2) + keys.unsqueeze(1)
        scores: Tensor = self.score(torch.tanh(drive))
        return scores.squeeze(-1)


class ConcatAttention(Attention):
    """score(h_t, h_s) = v . tanh(W [h_t; h_s])

    The additive score with one matrix for both, so that both begin at one scale.

    Source: Luong, Pham, Manning (2015), arXiv:1508.04025, section 3.1.

    Args:
        query_size: Q, width of a query.
        memory_size: M, width of a step of the memory.
        size: K, width of the sum; Q unless given.

    Shapes: see `Attention`. Parameters: both.weight [K, Q + M], score.weight [1, K].
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        size = query_size if size is None else size
        self.both = nn.Linear(query_size + memory_size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def _keys(self, values: Tensor) -> Tensor:
        # the columns that meet the memory need to be met once only
        return values @ self.both.weight[:, self.query_size :].T

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        asked = queries @ self.both.weight[:, : self.query_size].T
        scores: Tensor = self.score(torch.tanh(asked.unsqueeze(2) + keys.unsqueeze(1)))
        return scores.squeeze(-1)


_NAMED: dict[str, type[Attention]] = {
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "concat": ConcatAttention,
}


def attention_by_name(name: str, query_size: int, memory_size: int) -> Attention:
    """An attention of the kind "additive", "dot", "general" or "concat".

    Raises:
        ValueError: there is no such kind, or the widths do not fit it.
    """
    if name not in _NAMED:
        raise ValueError(f"attention must be one of {', '.join(_NAMED)}, got {name!r}.")
    return _NAMED[name](query_size, memory_size)
