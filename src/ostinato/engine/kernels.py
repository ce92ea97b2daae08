"""torch's own recurrences, for the cells that say they equal one.

These are what torch.nn.LSTM, GRU and RNN call: oneDNN or plain operators on a CPU, cuDNN on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine.calls import Call, State, Walk

__all__ = ["walk"]

_KERNELS: dict[str, Callable[..., Any]] = {
    "lstm": torch._VF.lstm,
    "gru": torch._VF.gru,
    "rnn_tanh": torch._VF.rnn_tanh,
    "rnn_relu": torch._VF.rnn_relu,
}


def walk(call: Call) -> Walk | None:
    """Walk the sequence in one call of torch's kernel, or return None where none will do.

    A cell names its kernel by a method `torch_kernel()`, which returns (kind, weights) with the
    kinds "lstm", "gru", "rnn_tanh" and "rnn_relu" and the weights in torch's order: weight_ih,
    weight_hh, bias_ih, bias_hh and, for a projection, weight_hr; a bias that is not there is None.
    Padding and resets inside a sequence are nothing that these kernels know.
    """
    if call.lengths is not None or call.reset is not None or call.x.numel() == 0:
        return None
    ask = getattr(call.cell, "torch_kernel", None)
    found = None if ask is None else ask()
    if found is None or (call.all_states and found[0] == "lstm"):
        return None
    weights = _stand_ins(call.cell, found[1], call.parameters)
    if weights is None or not _fits(call, weights):
        return None
    output, state = _run(found[0], call, *_with_biases(weights))
    return Walk(output, state, (output,) if call.all_states else None)


def _run(kind: str, call: Call, weights: list[Tensor], biased: bool) -> tuple[Tensor, State]:
    x = call.x.flip(0) if call.reverse else call.x
    old = [part.unsqueeze(0).contiguous() for part in call.state]
    # the flag for training is what lets the kernel keep what a backward pass needs
    train = torch.is_grad_enabled()
    output, *new = _KERNELS[kind](
        x, old if kind == "lstm" else old[0], weights, biased, 1, 0.0, train, False, False
    )
    output = output.flip(0) if call.reverse else output
    return output, tuple(part.squeeze(0) for part in new)


def _stand_ins(
    cell: nn.Module, weights: Sequence[Tensor | None], parameters: Mapping[str, Tensor] | None
) -> list[Tensor | None] | None:
    """The weights with the call's parameters in place, or None if they cannot be placed."""
    if parameters is None:
        return list(weights)
    names = {id(parameter): name for name, parameter in cell.named_parameters()}
    placed: list[Tensor | None] = []
    for weight in weights:
        name = None if weight is None else names.get(id(weight))
        if weight is not None and name is None:
            # made from parameters, such as a column block of one matrix
            return None
        placed.append(weight if name is None else parameters.get(name, weight))
    return placed


def _fits(call: Call, weights: Sequence[Tensor | None]) -> bool:
    """Whether all tensors agree as the kernels want it, and nothing transforms the call."""
    tensors = (call.x, *call.state, *(weight for weight in weights if weight is not None))
    dtype, device = call.x.dtype, call.x.device
    if any(tensor.dtype != dtype or tensor.device != device for tensor in tensors):
        return False
    if device.type == "cpu" and dtype not in (torch.float32, torch.float64):
        return False
    # they have no rule for vmap, forward-mode derivatives or the like
    return not torch._C._are_functorch_transforms_active()


def _with_biases(weights: Sequence[Tensor | None]) -> tuple[list[Tensor], bool]:
    biased = weights[2] is not None or weights[3] is not None
    if not biased:
        return [weight for weight in weights if weight is not None], False
    zero = next(bias for bias in weights[2:4] if bias is not None)
    return [torch.zeros_like(zero) if weight is None else weight for weight in weights], True
