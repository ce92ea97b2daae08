"""The affine part that gated and plain cells share: W x + U h + b, once for each gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Gates", "uniform_"]


class Gates(nn.Module):
    """The affine part of a recurrent unit, once for each gate: W x + U h + b.

    Two equal forms are offered: a matrix each for x and h (the default), or one matrix on the
    concatenation [h, x] (`joint=True`).

    With `layer_norm` it is LN(W x) + LN(U h) + b, each normalised over all its rows, with a gain
    and, since b follows, no shift of its own. Source: Ba, Kiros, Hinton (2016), arXiv:1607.06450.

    Args:
        names: the gates, separated by blanks, in the order of their rows in the matrices.
        input_size: I, width of x.
        hidden_size: H, number of units that each gate drives.
        state_size: S, width of h; H unless given.
        bias: True for one bias vector, "both" for one beside each matrix (as torch.nn has), or
            False.
        joint: one matrix on [h, x] in place of two.
        layer_norm: normalise both products.
        mask: [H, S] of zeros and ones, which parts of h each unit hears; all of them unless given.

    Shapes: x [B, I], h [B, S] -> one [B, H] for each of the G gates. Parameters: weight_ih [G*H, I]
    and weight_hh [G*H, S], or weight [G*H, S+I]; bias [G*H], or bias_ih and bias_hh [G*H]; gains
    norm_ih.weight and norm_hh.weight [G*H].

    Raises:
        ValueError: no name, a `bias` of another kind, two biases for one matrix, or a mask of
            another shape.

    Example:
        >>> gates = Gates("i f", 3, 4)
        >>> i, f = gates(torch.zeros(2, 3), torch.zeros(2, 4))
        >>> i.shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        names: str,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int | None = None,
        bias: bool | str = True,
        joint: bool = False,
        layer_norm: bool = False,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.bias: nn.Parameter | None
        self.bias_ih: nn.Parameter | None
        self.bias_hh: nn.Parameter | None
        self.mask: Tensor | None
        self.names = tuple(names.split())
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.state_size = state_size or hidden_size
        self.joint = joint
        self.layer_norm = layer_norm
        self._check(bias, mask)
        rows = len(self.names) * hidden_size
        if joint:
            self.weight = nn.Parameter(torch.empty(rows, self.state_size + input_size))
        else:
            self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
            self.weight_hh = nn.Parameter(torch.empty(rows, self.state_size))
        for name in ("bias", "bias_ih", "bias_hh"):
            present = (name == "bias") if bias is True else (bias == "both" and name != "bias")
            self.register_parameter(name, nn.Parameter(torch.empty(rows)) if present else None)
        if layer_norm:
            self.norm_ih = nn.LayerNorm(rows, bias=False)
            self.norm_hh = nn.LayerNorm(rows, bias=False)
        full = (
            None
            if mask is None
            else mask.to(torch.get_default_dtype()).repeat(rows // len(mask), 1)
        )
        self.register_buffer("mask", full, persistent=False)
        self.reset_parameters()

    def _check(self, bias: bool | str, mask: Tensor | None) -> None:
        if not self.names:
            raise ValueError('Gates: names must hold at least one gate, e.g. "i f", got none.')
        if bias not in (True, False, "both"):
            raise ValueError(f'Gates: bias must be True, False or "both", got {bias!r}.')
        if self.joint and bias == "both":
            raise ValueError('Gates: one matrix has one bias; give bias=True, not "both".')
        wanted = (self.hidden_size, self.state_size)
        if mask is not None and tuple(mask.shape) != wanted:
            raise ValueError(f"Gates: mask must be {list(wanted)}, got {list(mask.shape)}.")

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Glorot-uniform input blocks, orthogonal recurrent blocks, zero biases, unit gains."""
        recurrent, drive = self._blocks()
        for g in range(len(self.names)):
            rows = slice(g * self.hidden_size, (g + 1) * self.hidden_size)
            nn.init.xavier_uniform_(drive[rows])
            nn.init.orthogonal_(recurrent[rows])
        for bias in (self.bias, self.bias_ih, self.bias_hh):
            if bias is not None:
                nn.init.zeros_(bias)
        if self.layer_norm:
            self.norm_ih.reset_parameters()
            self.norm_hh.reset_parameters()

    @torch.no_grad()
    def start_bias(self, name: str, value: float) -> None:
        """Set one gate's bias; with two biases the one beside W takes all of it.

        Raises:
            ValueError: these gates have no bias.
        """
        bias = self.bias if self.bias_ih is None else self.bias_ih
        if bias is None:
            raise ValueError(f"Gates: gate {name!r} has no bias to set; build with bias=True.")
        bias.view(len(self.names), -1)[self.names.index(name)] = value

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        if self.joint and not self.layer_norm:
            weight = self.weight if self.mask is None else torch.cat(self.weights(), dim=1)
            drive = F.linear(torch.cat([h, x], dim=-1), weight, self.bias)
        else:
            driven, recurrent = self._terms(x, h)
            drive = driven + recurrent
        return drive.chunk(len(self.names), dim=-1)

    def apart(self, x: Tensor, h: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The two terms of every gate before they are added: (W x + b, ...) and (U h, ...).

        A bias beside U belongs to the second term; one matrix is used by its two column blocks.
        """
        driven, recurrent = self._terms(x, h)
        count = len(self.names)
        return driven.chunk(count, dim=-1), recurrent.chunk(count, dim=-1)

    def weights(self) -> tuple[Tensor, Tensor]:
        """U [G*H, S], masked, and W [G*H, I], whichever form holds them."""
        recurrent, drive = self._blocks()
        return (recurrent if self.mask is None else recurrent * self.mask), drive

    def torch_weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """W, U and the biases beside them, in torch.nn's order; a bias that is missing is None."""
        recurrent, drive = self.weights()
        return drive, recurrent, self.bias if self.bias_ih is None else self.bias_ih, self.bias_hh

    def _terms(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        recurrent, drive = self.weights()
        first = self.bias if self.bias_ih is None else self.bias_ih
        if not self.layer_norm:
            return F.linear(x, drive, first), F.linear(h, recurrent, self.bias_hh)
        wx: Tensor = self.norm_ih(F.linear(x, drive))
        uh: Tensor = self.norm_hh(F.linear(h, recurrent))
        wx = wx if first is None else wx + first
        uh = uh if self.bias_hh is None else uh + self.bias_hh
        return wx, uh

    def _blocks(self) -> tuple[Tensor, Tensor]:
        if self.joint:
            return self.weight[:, : self.state_size], self.weight[:, self.state_size :]
        return self.weight_hh, self.weight_ih

    def extra_repr(self) -> str:
        return f"{' '.join(self.names)!r}, {self.input_size}, {self.hidden_size}"


def uniform_(parameters: Sequence[Tensor], width: int) -> None:
    """Fill with U(-1/sqrt(width), 1/sqrt(width)), torch.nn's own start."""
    bound = 1 / math.sqrt(width)
    for parameter in parameters:
        nn.init.uniform_(parameter, -bound, bound)
