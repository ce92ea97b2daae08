"""Dropout on what the recurrent products of a cell read, and on their matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.engine import Call, State, split_result
from ostinato.layers.products import MaskedProducts, recurrent_matrices
from ostinato.layers.wrapper import Wrapper

__all__ = ["RecurrentDropout", "WeightDrop", "recurrent_regions", "states_in_products"]


class RecurrentDropout(Wrapper):
    """Around a cell: its recurrent products see a state some units of which are dropped.

    A row's mask is drawn once for the whole sequence. It touches products (U h, and U (r * h))
    only, not the carry of a state from step to step.

    Source: Gal, Ghahramani (2016), "A Theoretically Grounded Application of Dropout in Recurrent
    Neural Networks", NeurIPS 29 (one mask for all gates).

    Args:
        cell: the cell inside.
        sizes: widths of its states.
        rate: share of the units that is dropped, in [0, 1); the others are divided by 1 - rate.
        masked: which states have a product, by their numbers.

    Shapes: x as the cell's; states as the cell's, then a mask for each of `masked`.
    """

    def __init__(
        self, cell: nn.Module, sizes: Sequence[int], rate: float, masked: Sequence[int]
    ) -> None:
        super().__init__(cell, sizes)
        self.rate = rate
        self.masked = tuple(masked)

    def extra_state(self, call: Call, like: Tensor) -> State:
        B = call.x.shape[1]
        return tuple(
            like.new_empty(B, self.sizes[i]).bernoulli_(1 - self.rate) / (1 - self.rate)
            for i in self.masked
        )

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, State]:
        count = len(state) - len(self.masked)
        inner, masks = state[:count], state[count:]
        marks: list[Tensor | None] = [None] * count
        for i, mask in zip(self.masked, masks, strict=True):
            marks[i] = mask
        with MaskedProducts(marks, inner):
            result = self.cell(x, *inner)
        output, new = split_result(result, count)
        return output, (*new, *masks)

    def extra_repr(self) -> str:
        return f"{self.rate}, masked={self.masked}"


def states_in_products(cell: nn.Module, input_size: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the states that meet a matrix in this cell.

    Raises:
        ValueError: there is none, so that masks could not act.
    """
    with torch.no_grad():
        seen = recurrent_matrices(cell, input_size, sizes)
    found = {int(number) - 1 for _, marks in seen for number in marks.tolist() if number > 0}
    if not found:
        raise ValueError(
            f"recurrent_dropout: {type(cell).__name__} multiplies no matrix with its old state, so "
            "there is nothing to drop. Use zoneout."
        )
    return tuple(sorted(found))


class WeightDrop:
    """Drops entries of the recurrent matrices, anew for each forward pass.

    The same matrix is used at all steps. Source: Merity, Keskar, Socher (2017), arXiv:1708.02182.

    Args:
        cell: the cell whose recurrent matrices are meant.
        input_size: width of its input.
        sizes: widths of its states.
        rate: share that is dropped, in [0, 1); the others are divided by 1 - rate.

    Raises:
        ValueError: the cell multiplies no parameter with its old state.
    """

    def __init__(self, cell: nn.Module, input_size: int, sizes: Sequence[int], rate: float) -> None:
        self.rate = rate
        self.regions = recurrent_regions(cell, input_size, sizes)
        if not self.regions:
            raise ValueError(
                f"weight_drop: {type(cell).__name__} multiplies no parameter with its old state, "
                "so there is nothing to drop. Leave it out."
            )
        self._whole = {name for name, region in self.regions.items() if bool(region.all())}

    def draw(self, cell: nn.Module, given: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The parameters that stand in for the cell's in this forward pass."""
        result = dict(given or {})
        for name, region in self.regions.items():
            whole = result[name] if name in result else cell.get_parameter(name)
            dropped = F.dropout(whole, self.rate)
            if name not in self._whole:
                dropped = torch.where(region.to(whole.device), dropped, whole)
            result[name] = dropped
        return result


def recurrent_regions(cell: nn.Module, input_size: int, sizes: Sequence[int]) -> dict[str, Tensor]:
    """For each parameter from which a recurrent matrix is made, the entries that are in it."""
    parameters = {name: p for name, p in cell.named_parameters() if p.is_floating_point()}
    needed = [p.requires_grad for p in parameters.values()]
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            seen = recurrent_matrices(cell, input_size, sizes)
            # an entry is in a matrix if the matrix depends on it
            total = sum(((matrix * (marks > 0)).sum() for matrix, marks in seen), torch.zeros(()))
            if not total.requires_grad:
                return {}
            gradients = torch.autograd.grad(
                total, list(parameters.values()), allow_unused=True, materialize_grads=True
            )
    finally:
        for parameter, need in zip(parameters.values(), needed, strict=True):
            parameter.requires_grad_(need)
    pairs = zip(parameters, gradients, strict=True)
    return {name: gradient != 0 for name, gradient in pairs if bool((gradient != 0).any())}
