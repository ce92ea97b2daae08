"""What a network that runs freely is told: outputs that came before, inputs that are to come."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["inputs_to_come", "outputs_before"]


def outputs_before(prompt: Any, outputs: int, dtype: torch.dtype) -> tuple[Tensor, bool, bool]:
    """What came before, [T, B, O], whether it was NumPy's, and whether there were several.

    Raises:
        ValueError: the prompt is empty, or not O wide.
    """
    if prompt is None:
        return torch.zeros(0, 1, outputs, dtype=dtype), True, False
    numpy = not isinstance(prompt, Tensor)
    heard = torch.as_tensor(np.asarray(prompt) if numpy else prompt).to(dtype)
    many = heard.dim() == 3
    heard = heard.transpose(0, 1) if many else heard.reshape(len(heard), 1, -1)
    if heard.shape[2] != outputs or len(heard) == 0:
        raise ValueError(
            f"EchoStateNetwork: a prompt must be [T, {outputs}] with T at least 1, or "
            f"[B, T, {outputs}], got {list(np.shape(prompt))}."
        )
    return heard, numpy, many


def inputs_to_come(given: Tensor | None, inputs: int, heard: Tensor, steps: int) -> Tensor:
    """Inputs [T, B, I] for the steps of what was heard, and those to come.

    Args:
        given: [T, I]; None: there are none.
        inputs: I of the network.
        heard: what came before, [T, B, O].
        steps: to come.

    Raises:
        ValueError: there are no steps, or the inputs are missing or of another length.
    """
    if steps != int(steps) or steps < 1:
        raise ValueError(f"EchoStateNetwork: steps must be at least 1, and whole, got {steps}.")
    length, B = len(heard) + int(steps), heard.shape[1]
    if given is None:
        if inputs:
            raise ValueError(
                f"EchoStateNetwork: it has {inputs} input(s). Give x for the prompt's "
                f"steps and the {steps} to come."
            )
        return heard.new_zeros(length, B, 0)
    if len(given) != length:
        raise ValueError(
            f"EchoStateNetwork: x must have {length} steps (the prompt's and those to come), "
            f"got {len(given)}."
        )
    return given[:, None].expand(-1, B, -1)
