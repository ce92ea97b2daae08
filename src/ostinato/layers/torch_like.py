"""RNN, LSTM and GRU: torch.nn's own layers, with what they lack."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import Unpack

from ostinato import cells
from ostinato.layers.checkpoint import CheckpointEvery, check_every
from ostinato.layers.clamp import Clamp
from ostinato.layers.clip_gradient import ClipGradient
from ostinato.layers.initial import initial_state_from
from ostinato.layers.recurrent import check_stack, in_time
from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.shapes import Lengths
from ostinato.layers.states import StateForm

if TYPE_CHECKING:
    from ostinato.engine.standing import Homes

__all__ = ["GRU", "LSTM", "RNN"]


class Keywords(TypedDict, total=False):
    """What the three take beyond torch's own arguments; `Recurrent` explains all but the first."""

    layer_norm: bool
    initial_state: Any
    recurrent_dropout: float
    zoneout: float | Sequence[float]
    weight_drop: float
    locked_dropout: bool
    residual: bool
    clamp: Clamp | None
    clip_gradient: float | ClipGradient | None
    checkpoint_every: CheckpointEvery


class TorchLike(SequenceLayer):
    """Base of the three: torch's parameters, walked by cells that borrow them at each call."""

    bias: bool
    hidden_size: int
    proj_size: int
    input_size: int
    mode: str

    def _set_up(
        self, template: Callable[..., cells.Cell], options: Mapping[str, Any], given: Keywords
    ) -> None:
        unknown = sorted(set(given) - set(Keywords.__annotations__))
        if unknown:
            raise TypeError(
                f"{self._name}: no keyword {unknown[0]!r}. Beyond torch.nn's there are "
                f"{', '.join(Keywords.__annotations__)}."
            )
        self.layer_norm = given.get("layer_norm", False)
        self.locked_dropout = given.get("locked_dropout", False)
        self.residual = given.get("residual", False)
        self.checkpoint_every = check_every(self._name, given.get("checkpoint_every"))
        directions = 2 if self.bidirectional else 1
        inner = (self.proj_size or self.hidden_size) * directions
        self.output_size = inner
        widths = [self.input_size] * directions + [inner] * directions * (self.num_layers - 1)
        bias = "both" if self.bias else False
        with torch.device("meta"):
            # in a tuple the cells are no children: their parameters are stand-ins
            self._templates = tuple(
                _hollow(
                    template(
                        width, self.hidden_size, bias=bias, layer_norm=self.layer_norm, **options
                    )
                )
                for width in widths
            )
        self._borrowed = tuple(self._names(place) for place in range(len(widths)))
        self._register_extra()
        check_stack(self)
        sizes = tuple(cell.state_sizes for cell in self._templates)
        self._states = StateForm(self._name, self._templates, sizes, alone=False)
        self._in_time = in_time(
            self,
            given.get("recurrent_dropout", 0.0),
            given.get("zoneout", 0.0),
            given.get("weight_drop", 0.0),
            given.get("clamp"),
            widths,
            given.get("clip_gradient"),
        )
        self.initial = initial_state_from(given.get("initial_state"))
        if self.initial is not None:
            self.initial.bind(sizes, next(self.parameters()).detach())

    def _names(self, place: int) -> tuple[tuple[str, str], ...]:
        """Pairs (name in the cell, name here)."""
        layer, direction = divmod(place, 2) if self.bidirectional else (place, 0)
        suffix = f"_l{layer}{'_reverse' if direction else ''}"
        return tuple(
            (name, _flat_name(name) + suffix)
            for name, _ in self._templates[place].named_parameters()
        )

    def _register_extra(self) -> None:
        """Register what the cells have beyond torch's parameters: gains and shifts of norms."""
        like = next(self.parameters())
        for names, template in zip(self._borrowed, self._templates, strict=True):
            for inner, own in names:
                if own not in self._parameters:
                    shape = template.get_parameter(inner).shape
                    value = nn.Parameter(torch.empty(shape, dtype=like.dtype, device=like.device))
                    self.register_parameter(own, value)
        self._reset_extra()

    @torch.no_grad()
    def _reset_extra(self) -> None:
        for names in self._borrowed:
            for inner, own in names:
                if "norm" in inner:
                    self.get_parameter(own).fill_(1.0 if inner.endswith("weight") else 0.0)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """torch.nn's start, U(-1/sqrt(H), 1/sqrt(H)); norms start as 1 and 0."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for name in cast("list[str]", self._flat_weights_names):
            nn.init.uniform_(getattr(self, name), -bound, bound)
        if hasattr(self, "_borrowed"):
            self._reset_extra()

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Any = None,
        lengths: Lengths | None = None,
        reset: Tensor | None = None,
        all_states: bool = False,
        *,
        context: Any = None,
        clamp: Tensor | None = None,
    ) -> Any:
        """Walk over a batch of sequences; see `Recurrent.forward` for what torch.nn lacks."""
        return self._forward(input, hx, lengths, reset, all_states, context, clamp)

    def _cell(self, place: int) -> nn.Module:
        return self._templates[place]

    def _parameters_of(self, place: int) -> Mapping[str, Tensor] | None:
        return {inner: getattr(self, own) for inner, own in self._borrowed[place]}

    def _homes(self, place: int) -> Homes:
        return {inner: (self._parameters, own) for inner, own in self._borrowed[place]}


class RNN(TorchLike, nn.RNN):
    """torch.nn.RNN with lengths, resets, streams and more; its parameters and `state_dict`.

    torch.nn.RNN's arguments, and the keywords of `Recurrent` that are named in `Keywords`.

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L.
        nonlinearity: "tanh" or "relu".
        bias: with the two bias vectors.
        batch_first: sequences are [B, T, I].
        dropout: rate between layers.
        bidirectional: walk also from the end.
        device: where the parameters are.
        dtype: their type.
        keywords: layer_norm (as in `ostinato.cells.Elman`), and initial_state, recurrent_dropout,
            zoneout, weight_drop, locked_dropout, residual, clamp, clip_gradient and
            checkpoint_every as in `Recurrent`.

    Shapes: as torch.nn.RNN: x [T, B, I] -> y [T, B, D*H], h [L*D, B, H].

    Example:
        >>> layer = RNN(3, 4, 2, "relu")
        >>> y, h = layer(torch.zeros(5, 2, 3))
        >>> h.shape
        torch.Size([2, 2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        nn.RNN.__init__(
            self,
            input_size,
            hidden_size,
            num_layers,
            nonlinearity,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self._set_up(cells.Elman, {"activation": nonlinearity}, keywords)


class LSTM(TorchLike, nn.LSTM):
    """torch.nn.LSTM with lengths, resets, streams and more; its parameters and `state_dict`.

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L.
        bias: with the two bias vectors.
        batch_first: sequences are [B, T, I].
        dropout: rate between layers.
        bidirectional: walk also from the end.
        proj_size: P < H, width of h where it is projected; 0 for none.
        device: where the parameters are.
        dtype: their type.
        keywords: layer_norm (as in `ostinato.cells.LSTM`), and initial_state, recurrent_dropout,
            zoneout, weight_drop, locked_dropout, residual, clamp, clip_gradient and
            checkpoint_every as in `Recurrent`.

    Shapes: as torch.nn.LSTM: x [T, B, I] -> y [T, B, D*H], (h [L*D, B, H], c [L*D, B, H]), with P
    for H in y and h where projected. Rows of the matrices: i f g o.

    Example:
        >>> layer = LSTM(3, 4, batch_first=True, bidirectional=True)
        >>> y, (h, c) = layer(torch.zeros(2, 5, 3), lengths=[5, 3])
        >>> y.shape, h.shape
        (torch.Size([2, 5, 8]), torch.Size([2, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        nn.LSTM.__init__(
            self,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )
        self._set_up(cells.LSTM, {"proj_size": proj_size}, keywords)


class GRU(TorchLike, nn.GRU):
    """torch.nn.GRU with lengths, resets, streams and more; its parameters and `state_dict`.

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: L.
        bias: with the two bias vectors.
        batch_first: sequences are [B, T, I].
        dropout: rate between layers.
        bidirectional: walk also from the end.
        device: where the parameters are.
        dtype: their type.
        keywords: layer_norm (as in `ostinato.cells.GRU`), and initial_state, recurrent_dropout,
            zoneout, weight_drop, locked_dropout, residual, clamp, clip_gradient and
            checkpoint_every as in `Recurrent`.

    Shapes: as torch.nn.GRU: x [T, B, I] -> y [T, B, D*H], h [L*D, B, H]. Rows of the matrices:
    r z n.

    Example:
        >>> layer = GRU(3, 4, initial_state="ones")
        >>> y, h = layer(torch.zeros(0, 2, 3))
        >>> h.sum()
        tensor(8.)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **keywords: Unpack[Keywords],
    ) -> None:
        nn.GRU.__init__(
            self,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self._set_up(cells.GRU, {"reset": "after"}, keywords)


def _flat_name(name: str) -> str:
    """What a cell's parameter is called here, as gates.weight_ih is weight_ih."""
    return name.removeprefix("gates.").replace(".", "_")


def _hollow(cell: cells.Cell) -> cells.Cell:
    """The cell with stand-in parameters: the right shapes, a single number in memory."""
    for module in cell.modules():
        for name, parameter in module.named_parameters(recurse=False):
            value = torch.zeros((), dtype=parameter.dtype, device="cpu").expand(parameter.shape)
            setattr(module, name, nn.Parameter(value))
    return cell
