"""Watching a cell take a step: each tensor that its forward gives a name to.

The names are those of the equations as the cell's author wrote them: the local variables of
`forward`. A tracing function looks at that one frame after each line, and a mode sees the
activation functions, so that it is known what went into each gate.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ostinato.engine import State, split_result

__all__ = ["GATES", "Named", "state_names", "watched_step"]

# functions of one tensor, element by element (softmax: over a row), that end a gate or a candidate
_ACTIVATIONS = {
    "celu",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "special_expit",
    "tanh",
}
# rows from which another library is worth its call
_LARGE = 256
GATES = frozenset({"sigmoid", "special_expit", "hardsigmoid", "softmax"})


@dataclass(frozen=True)
class Named:
    """A tensor that has a name in a cell's equations.

    Attributes:
        name: "f" for the last value that the variable f had, "f.pre" for what went into the
            activation that made it, "f.1" for its first value, where that is neither.
        kind: "state", "output" (where it is no state), "gate", "pre" or "value".
        function: the activation that made it, or "".
        tensor: [rows, units].
    """

    name: str
    kind: str
    function: str
    tensor: Tensor


def watched_step(
    cell: nn.Module, inner: nn.Module, x: Tensor, state: State, names: Sequence[str]
) -> tuple[Tensor, State, list[Named]]:
    """Take a step and name what it made.

    Args:
        cell: what is called.
        inner: the cell whose equations are meant: `cell`, or one inside it.
        x: [rows, I].
        state: the old state, each [rows, S].
        names: of the first of its tensors; the others are of wrappers and have no name.

    Returns:
        Output, new state, and all that has a name: states first, then in order of the equations.
    """
    frame = _Frame(inner)
    activations = _Activations()
    with activations, frame:
        result = cell(x, *state)
    output, new = split_result(result, len(state))
    namer = _Namer(activations, (x, *state, *frame.arguments), x.shape[0])
    namer.results(names, new, output)
    namer.variables(frame.bound)
    return output, new, namer.found


def state_names(cell: nn.Module, count: int) -> tuple[str, ...]:
    """Names of a cell's states: those it gives, or those of the arguments of its forward."""
    told = getattr(cell, "state_names", None)
    if told is not None and len(told) == count:
        return tuple(told)
    try:
        parameters = list(inspect.signature(cell.forward).parameters.values())[1:]
    except (TypeError, ValueError):
        parameters = []
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(plain) if len(plain) == count else tuple(f"state{k}" for k in range(count))


class _Activations(TorchFunctionMode):
    """Notes for each result of an activation which one it was, and of what."""

    def __init__(self) -> None:
        super().__init__()
        # the tensors are kept, as an id alone may come back for another one
        self.of: dict[int, tuple[Tensor, str, Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        result = _product(*args, **(kwargs or {})) if name == "linear" else None
        result = func(*args, **(kwargs or {})) if result is None else result
        plain = bool(args) and isinstance(args[0], Tensor) and isinstance(result, Tensor)
        if name in _ACTIVATIONS and plain and args[0] is not result:
            self.of[id(result)] = (result, name, args[0])
        return result


def _product(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    """A large product by oneDNN, which torch has but asks for small types only.

    On processors for which torch's own library has no kernels it takes less than half the time.
    None where it cannot be had.
    """
    tensors = (input, weight) if bias is None else (input, weight, bias)
    if any(type(part) not in (Tensor, nn.Parameter) for part in tensors):
        # something records the step
        return None
    plain = all(part.device.type == "cpu" and part.dtype == torch.float32 for part in tensors)
    if not plain or input.dim() != 2 or len(input) < _LARGE or _library() is None:
        return None
    if torch.is_autocast_enabled("cpu"):
        return None
    found: Tensor = _Product.apply(input, weight, bias)  # type: ignore[no-untyped-call]
    return found


def _library() -> Any:
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class _Product(torch.autograd.Function):
    """A large product, differentiable in what is multiplied: nobody asks a trace for more."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        found: Tensor = _library()(input, weight, bias, "none", [], "")
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        turned = weight.t().contiguous()
        return _library()(grads[0].contiguous(), turned, None, "none", [], ""), None, None


class _Frame:
    """Within a `with` block, follows the local variables of one module's forward."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.code = _code_of(module)
        # in order of binding; a name that is bound again is there again
        self.bound: list[tuple[str, Tensor]] = []
        self.arguments: list[Tensor] = []
        self._last: dict[str, Tensor] = {}

    def __enter__(self) -> _Frame:
        self._before = sys.gettrace()
        if self.code is not None:
            sys.settrace(self._call)
        return self

    def __exit__(self, *error: object) -> None:
        if self.code is not None:
            sys.settrace(self._before)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is not self.code or not self._is_meant(frame):
            return None
        # what it is given: wrappers may have changed that on the way
        self.arguments = [t for name, v in frame.f_locals.items() for _, t in _tensors(name, v)]
        return self._line

    def _is_meant(self, frame: FrameType) -> bool:
        assert self.code is not None
        first = self.code.co_varnames[:1]
        # a forward without a first argument, or a closure, has no self to know it by
        return not first or frame.f_locals.get(first[0], self.module) is self.module

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("line", "return"):
            self._look(frame)
        return self._line

    def _look(self, frame: FrameType) -> None:
        for name, value in frame.f_locals.items():
            for label, tensor in _tensors(name, value):
                if self._last.get(label) is not tensor:
                    self._last[label] = tensor
                    self.bound.append((label, tensor))


def _tensors(name: str, value: Any) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(name, value)]
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, Tensor) for v in value):
        if len(value) == 1:
            return [(name, value[0])]
        return [(f"{name}[{k}]", part) for k, part in enumerate(value)]
    return []


def _code_of(module: nn.Module) -> CodeType | None:
    forward = module.__dict__.get("forward", type(module).forward)
    forward = inspect.unwrap(getattr(forward, "__func__", forward))
    code = getattr(forward, "__code__", None)
    return code if isinstance(code, CodeType) else None


class _Namer:
    """Gives each tensor one name, the plainest that it has."""

    def __init__(self, activations: _Activations, inputs: Sequence[Tensor], rows: int) -> None:
        self.found: list[Named] = []
        self._activations = activations.of
        self._rows = rows
        # each tensor once; what came in needs no name
        self._seen = {id(part) for part in inputs}
        self._inputs = frozenset(self._seen)
        self._states: set[str] = set()

    def results(self, names: Sequence[str], new: State, output: Tensor) -> None:
        """Name the new states, and the output where it is none of them."""
        for name, part in zip(names, new, strict=False):
            # a state may be handed on as it was, and is a state still
            self._seen.discard(id(part))
            self._add(name, part, "state")
            self._states.add(name)
        if all(output is not part for part in new):
            self._add("output", output, "output")

    def variables(self, bound: Sequence[tuple[str, Tensor]]) -> None:
        """Name what the variables held, in order of their binding."""
        last = dict(bound)
        firm = [*last.items(), *((named.name, named.tensor) for named in self.found)]
        own = {id(tensor) for _, tensor in firm}
        own |= {id(self._activations[id(t)][2]) for _, t in firm if id(t) in self._activations}
        for named in tuple(self.found):
            self._add_source(named.name, named.tensor, last)
        times: dict[str, int] = {}
        for name, tensor in bound:
            if tensor is last[name]:
                label = f"{name}.local" if name in self._states else name
                if id(tensor) not in self._seen:
                    self._add_source(label, tensor, last)
                    self._add(label, tensor)
                continue
            times[name] = times.get(name, 0) + (id(tensor) not in self._inputs)
            if id(tensor) not in own:
                self._add(f"{name}.{times[name]}", tensor)

    def _add_source(self, label: str, tensor: Tensor, last: dict[str, Tensor]) -> None:
        """Name what went into the activation that made a tensor, unless a variable holds it."""
        made = self._activations.get(id(tensor))
        if made is not None and all(made[2] is not value for value in last.values()):
            self._add(f"{label}.pre", made[2], "pre")

    def _add(self, name: str, tensor: Tensor, kind: str = "") -> None:
        # where the step is recorded, a number of rows that is known is none of the batch
        fits = tensor.dim() >= 1 and type(tensor.shape[0]) is type(self._rows)
        fits = fits and bool(tensor.shape[0] == self._rows)
        if id(tensor) in self._seen or not fits or isinstance(tensor, nn.Parameter):
            return
        self._seen.add(id(tensor))
        function = self._activations[id(tensor)][1] if id(tensor) in self._activations else ""
        kind = kind or ("gate" if function in GATES else "value")
        self.found.append(Named(name, kind, function, tensor))
