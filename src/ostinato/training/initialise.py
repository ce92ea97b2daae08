"""How the weights of recurrent nets begin: by name, for each kind of weight and each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from ostinato.training.blocks import Block, Kind, blocks_of
from ostinato.training.starts import CONNECTIONS, STARTS, Request, draw

__all__ = ["Choice", "initialise"]

M = TypeVar("M", bound=nn.Module)

# a name for all layers, or one for each (None leaves a layer alone)
Choice: TypeAlias = "str | Sequence[str | None] | None"


@torch.no_grad()
def initialise(
    module: M,
    recurrent: Choice = None,
    *,
    input: Choice = None,
    bias: Choice = None,
    gain: float = 1.0,
    input_gain: float = 1.0,
    connections: int = CONNECTIONS,
    forget_bias: float | None = None,
    chrono: int | None = None,
    generator: torch.Generator | None = None,
) -> M:
    r"""Start the weights of a recurrent layer, a cell, or of all recurrent layers in a model anew.

    Starts are drawn for each gate apart. What is not named stays as it is; so do projections,
    peepholes, readouts and the gains of norms.

    - "orthogonal": all singular values are `gain`, so that a linear recurrence neither shrinks nor
      grows what goes back through it (Saxe, McClelland, Ganguli 2013, arXiv:1312.6120).
    - "identity": `gain` times the identity. With rectified linear units, biases of 0 and inputs
      from N(0, 0.001^2) it is the IRNN of Le, Jaitly, Hinton (2015), arXiv:1504.00941.
    - "radius": normal, scaled so that the spectral radius is exactly `gain`.
    - "sparse": each unit hears `connections` others, with weights from N(0, gain^2); 15 in
      Martens (2010), "Deep learning via Hessian-free optimization".
    - "uniform": U(-gain/sqrt(H), gain/sqrt(H)), as torch.nn starts all.
    - "glorot": uniform, of variance 2 gain^2 / (rows + columns) (Glorot, Bengio 2010).
    - "normal": N(0, gain^2). "zeros".

    Args:
        module: its weights are changed in place.
        recurrent: start of what multiplies the old state, or one for each layer of a stack; also
            in one text, with commas between.
        input: start of what multiplies x, likewise.
        bias: start of the biases, likewise: "zeros", "uniform" or "normal".
        gain: of `recurrent`; of "radius" the radius.
        input_gain: of `input` and `bias`.
        connections: of "sparse".
        forget_bias: bias of the gates that keep the old state, after `bias`. Of 1 or more, an LSTM
            remembers from the start (Gers, Schmidhuber, Cummins 2000,
            doi:10.1162/089976600300015015; Jozefowicz, Zaremba, Sutskever 2015). Where the one gate
            of a cell says what is renewed, its bias is -forget_bias.
        chrono: T_max, the longest lag in steps: biases of the gates that keep from
            log U(1, T_max - 1), of those that write the opposite, so that the memories of the units
            last from a step to T_max (Tallec, Ollivier 2018, arXiv:1804.11188).
        generator: of the random numbers.

    Where two biases are added (as in torch.nn), `forget_bias` and `chrono` set the first, and the
    second of these gates is 0. A cell of one's own says which of its `Gates` keep (1) or write
    (-1) by an attribute of its class: `gate_roles = {"f": 1, "i": -1}`.

    Returns:
        The module.

    Raises:
        ValueError: nothing is named, or a number that belongs to nothing named; a name is unknown;
            nothing in the module has weights of that kind; a block does not fit its start (not
            square, or a draw without a radius); no gate is known to keep; or a number is out of
            range.

    Example:
        >>> from ostinato import LSTM
        >>> layer = initialise(LSTM(3, 4), "orthogonal", input="glorot", forget_bias=1.0)
        >>> layer.bias_ih_l0[4:8]
        tensor([1., 1., 1., 1.], grad_fn=<SliceBackward0>)
    """
    _check_numbers(gain=gain, input_gain=input_gain, forget_bias=forget_bias)
    if connections < 1:
        raise ValueError(f"initialise: connections must be at least 1, got {connections}.")
    _check_named(recurrent, input, bias, forget_bias, chrono)
    _check_used(recurrent, (input, bias), gain, input_gain, connections)
    blocks = blocks_of(module)
    count = 1 + max(block.layer for block in blocks)
    chosen: tuple[tuple[Kind, Choice, float], ...] = (
        ("recurrent", recurrent, gain),
        ("input", input, input_gain),
        ("bias", bias, input_gain),
    )
    drawn: list[tuple[Block, Tensor]] = []
    for kind, choice, scale in chosen:
        names = _by_layer(kind, choice, count)
        mine = [block for block in blocks if block.kind == kind and names[block.layer]]
        if choice is not None and not mine:
            raise ValueError(
                f"initialise: {type(module).__name__} has no {kind} weights that are known, so "
                f"{kind}={choice!r} would do nothing. Leave it out."
            )
        for block in mine:
            name = names[block.layer]
            assert name is not None
            drawn.append((block, _drawn(block, name, scale, connections, generator)))
    _check_gates(module, blocks, forget_bias, chrono)
    # nothing has changed so far, so that an error leaves all as it was
    for block, values in drawn:
        block.value.copy_(values)
    _start_gates(blocks, forget_bias, chrono, generator)
    return module


def _by_layer(kind: str, choice: Choice, count: int) -> list[str | None]:
    """A name for each layer."""
    if choice is None:
        return [None] * count
    if not isinstance(choice, (str, Sequence)) or not choice:
        raise ValueError(
            f"initialise: {kind} must be the name of a start, or one for each layer, got "
            f"{choice!r}."
        )
    names: list[str | None] = [*choice] if not isinstance(choice, str) else []
    names = names or [part.strip() for part in str(choice).split(",")]
    if len(names) == 1:
        return names * count
    if len(names) != count:
        raise ValueError(
            f"initialise: {kind} names {len(names)} starts for {count} layer(s): {names}. Give one "
            "for all, or one for each."
        )
    return names


def _check_named(recurrent: Choice, input: Choice, bias: Choice, *gates: float | None) -> None:
    if all(gate is None for gate in gates) and not any(map(_names, (recurrent, input, bias))):
        raise ValueError(
            "initialise: nothing is named, so nothing would change. Name a start of recurrent or "
            f"input weights ({', '.join(STARTS)}) or of the bias (zeros, uniform, normal), or give "
            "forget_bias or chrono."
        )


def _check_used(
    recurrent: Choice,
    others: Sequence[Choice],
    gain: float,
    input_gain: float,
    connections: int,
) -> None:
    """Refuse numbers that belong to a start which is not asked for."""
    if gain != 1.0 and not _names(recurrent):
        raise ValueError(
            f"initialise: gain={gain} belongs to recurrent, which names no start. Name one, e.g. "
            'recurrent="orthogonal", or leave gain out; that of input and bias is input_gain.'
        )
    if input_gain != 1.0 and not any(map(_names, others)):
        raise ValueError(
            f"initialise: input_gain={input_gain} belongs to input and bias, which name no start. "
            'Name one, e.g. input="uniform", or leave it out.'
        )
    if connections != CONNECTIONS and "sparse" not in _names(recurrent) + _names(others[0]):
        raise ValueError(
            f'initialise: connections={connections} belongs to the start "sparse", which is not '
            "named. Name it, or leave connections out."
        )


def _names(choice: Choice) -> list[str]:
    """The starts that are named, of any layer."""
    if choice is None:
        return []
    if isinstance(choice, Sequence) and not isinstance(choice, str):
        return [str(name) for name in choice if name is not None]
    return [name.strip() for name in str(choice).split(",")]


def _check_numbers(**numbers: float | None) -> None:
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"initialise: {name} must be a finite number, got {value}.")


def _drawn(
    block: Block, name: str, gain: float, connections: int, generator: torch.Generator | None
) -> Tensor:
    gate = f" of gate {block.gate}" if block.gate else ""
    request = Request(
        tuple(block.value.shape),
        _hidden_size(block),
        gain,
        connections,
        None if block.mask is None else block.mask.cpu(),
        generator,
        f"initialise: {type(block.cell).__name__}.{block.name}{gate}",
    )
    if block.kind == "bias" and name not in ("zeros", "uniform", "normal"):
        raise ValueError(f"{request.owner}: a bias starts as zeros, uniform or normal, not {name}.")
    return draw(name, request)


def _hidden_size(block: Block) -> int:
    size = getattr(block.cell, "hidden_size", None)
    return size if isinstance(size, int) else block.value.shape[0]


def _check_gates(
    module: nn.Module, blocks: Sequence[Block], forget_bias: float | None, chrono: int | None
) -> None:
    if forget_bias is None and chrono is None:
        return
    if forget_bias is not None and chrono is not None:
        raise ValueError("initialise: forget_bias and chrono both set the gates. Give one.")
    if chrono is not None and not chrono > 2:
        raise ValueError(f"initialise: chrono is the longest lag, above 2 steps, got {chrono}.")
    if not any(block.kind == "bias" and block.role for block in blocks):
        raise ValueError(
            f"initialise: no gate with a bias in {type(module).__name__} is known to keep or to "
            "renew the state, so forget_bias and chrono have nothing to set. Leave them out, or "
            'say which do: gate_roles = {"f": 1, "i": -1} in the class of the cell.'
        )


def _start_gates(
    blocks: Sequence[Block],
    forget_bias: float | None,
    chrono: int | None,
    generator: torch.Generator | None,
) -> None:
    if forget_bias is None and chrono is None:
        return
    gates = [block for block in blocks if block.kind == "bias" and block.role]
    for cell, layer in dict.fromkeys((block.cell, block.layer) for block in gates):
        mine = [b for b in gates if b.cell is cell and b.layer == layer]
        if chrono is not None:
            _set(mine, lambda shape: _lags(shape, chrono, generator))
        else:
            keeps = [b for b in mine if b.role > 0] or mine
            _set(keeps, lambda shape: torch.full(shape, float(forget_bias or 0.0)))


def _set(gates: Sequence[Block], made: Callable[[tuple[int, ...]], Tensor]) -> None:
    """Biases of gates: each unit's gates that keep and write get one value, and its opposite."""
    values: dict[str, Tensor] = {}
    for block in gates:
        if block.second:
            block.value.zero_()
            continue
        # the two directions of a layer of torch's are two nets
        which = "reverse" if block.name.endswith("_reverse") else ""
        if which not in values:
            values[which] = made(tuple(block.value.shape))
        block.value.copy_(block.role * values[which])


def _lags(shape: tuple[int, ...], longest: int, generator: torch.Generator | None) -> Tensor:
    drawn = torch.rand(shape, dtype=torch.float64, generator=generator)
    return (1 + drawn * (longest - 2)).log()
