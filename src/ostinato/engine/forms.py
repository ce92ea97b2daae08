"""What is known of a cell: its equations, read once for each form it takes, and its kernels."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.engine import stored
from ostinato.engine.calls import Keeper, State
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.text import Target
from ostinato.engine.origin import origin_of
from ostinato.engine.recurrence import NotFusable, Recurrence
from ostinato.engine.trace import trace
from ostinato.engine.watch import Watch

__all__ = ["EngineWarning", "Form", "form_of", "kernel_of", "recurrence_of", "warn"]


class EngineWarning(UserWarning):
    """A cell runs on the plain reference, correct and slower; the message says why."""


_lock = threading.RLock()
_forms: weakref.WeakKeyDictionary[nn.Module, _Forms] = weakref.WeakKeyDictionary()
_kernels: dict[tuple[str, bool, torch.dtype, Target], Kernel | NotFusable] = {}
_own = frozenset(nn.Module().__dict__)


class Form:
    """What is known of a cell in one of its forms: its equations, and its kernels."""

    def __init__(
        self, cell: nn.Module, x: Tensor, state: State, found: Recurrence | NotFusable
    ) -> None:
        self.found = found
        self._widths = _widths(x, state)
        # also holds what a fingerprint names by its identity
        self._watch = Watch([cell])
        self._parameters = [m._parameters for m in cell.modules() if m._parameters]
        self._shapes = self._shapes_now()
        self.kernels: dict[tuple[bool, Target], Kernel | NotFusable] = {}
        # what stops the tangent, where something does
        self.obstacles: dict[Target, NotFusable] = {}
        # code for single steps, by rows
        self.steps: dict[int, Any] = {}
        self.paths: list[tuple[tuple[str, ...], str]] = []
        if isinstance(found, Recurrence):
            split = [name.split(".") for name in found.static.names]
            self.paths = [(tuple(path[:-1]), path[-1]) for path in split]

    def _shapes_now(self) -> list[Any]:
        return [p if p is None else p.shape for held in self._parameters for p in held.values()]

    def fits(self, x: Tensor, state: State) -> bool:
        """Whether the cell still has this form."""
        return (
            self._widths == _widths(x, state)
            and self._watch.same()
            and self._shapes == self._shapes_now()
        )

    def kernel(
        self, cell: nn.Module, train: bool, dtype: torch.dtype, target: Target
    ) -> Kernel | NotFusable:
        """The kernel for inference or for training."""
        kernel = self.kernels.get((train, target))
        if kernel is None:
            assert isinstance(self.found, Recurrence)
            kernel = kernel_of(self.found, cell, train, dtype, target)
            self.kernels[(train, target)] = kernel
        return kernel

    def statics(
        self, cell: nn.Module, parameters: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, ...]:
        """The static tensors, the short way where they are parameters as they stand."""
        found = self.found
        assert isinstance(found, Recurrence)
        if found.static.identity:
            with contextlib.suppress(KeyError):
                if parameters is not None:
                    return tuple(parameters[name] for name in found.static.names)
                return tuple(_reach(cell, path, name) for path, name in self.paths)
        return found.statics(cell, parameters)


def _reach(module: nn.Module, path: tuple[str, ...], name: str) -> Tensor:
    for part in path:
        inner = module._modules[part]
        assert inner is not None
        module = inner
    tensor = module._parameters.get(name)
    if tensor is None:
        raise KeyError(name)
    return tensor


def recurrence_of(cell: nn.Module, x: Tensor, state: State) -> Recurrence | NotFusable:
    """The cell's equations, read once for every form that it takes."""
    return form_of(cell, x, state).found


class _Forms:
    """The forms of one cell."""

    def __init__(self) -> None:
        self.last: Form | None = None
        self.known: dict[Any, Form] = {}


def form_of(cell: nn.Module, x: Tensor, state: State) -> Form:
    """What is known of a cell as it is now, for inputs and states of these widths."""
    forms = _forms.get(cell)
    if forms is not None and forms.last is not None and forms.last.fits(x, state):
        return forms.last
    with _lock:
        forms = _forms.setdefault(cell, _Forms())
        key = _fingerprint(cell, x, state)
        form = forms.known.get(key)
        if form is None:
            form = forms.known[key] = Form(cell, x, state, _read(cell, x, state))
        forms.last = form
    return form


def _widths(x: Tensor, state: State) -> tuple[Any, ...]:
    return (x.shape[-1], x.dtype, x.device, *(part.shape[-1] for part in state))


def _read(cell: nn.Module, x: Tensor, state: State) -> Recurrence | NotFusable:
    if any(module._forward_hooks or module._forward_pre_hooks for module in cell.modules()):
        return NotFusable("hook", "", "a hook on the cell has to see every step")
    key = _origin(cell, x, state)
    found = None if key is None else stored.load(key)
    if found is not None:
        return found
    try:
        with torch.inference_mode(False), torch.no_grad(), _true_parameters(cell):
            found = trace(cell, _blank(x), tuple(map(_blank, state)))
    except NotFusable as error:
        warn(cell, error)
        return error
    # a cell may change itself while it is read
    if key is not None and key == _origin(cell, x, state):
        stored.save(key, found)
    return found


def _origin(cell: nn.Module, x: Tensor, state: State) -> str | None:
    """The name for the cell's equations on disk; None where there is no name for certain."""
    try:
        if isinstance(cell, Keeper):
            return hashlib.sha256(
                f"{origin_of(cell.cell, x, state)} {cell.key()}".encode()
            ).hexdigest()
        return origin_of(cell, x, state)
    except Exception:
        # attributes are anything, and may do anything when they are looked at
        return None


@contextlib.contextmanager
def _true_parameters(cell: nn.Module) -> Iterator[None]:
    """Have parameters to trace where `functional_call` has put plain tensors for them."""
    held: list[tuple[dict[str, Any], str, Any]] = [
        (module._parameters, name, value)
        for module in cell.modules()
        for name, value in module._parameters.items()
        if value is not None and not isinstance(value, nn.Parameter)
    ]
    try:
        for place, name, value in held:
            # only the shape counts, and the tensor may be wrapped by a transform
            blank = torch.zeros(value.shape, dtype=value.dtype, device=value.device)
            place[name] = nn.Parameter(blank, value.requires_grad)
        yield
    finally:
        for place, name, value in held:
            place[name] = value


def _blank(like: Tensor) -> Tensor:
    return torch.zeros(1, like.shape[-1], dtype=like.dtype, device=like.device)


def warn(cell: nn.Module, error: NotFusable) -> None:
    """Say that a cell runs on the reference, and why; of a `Keeper` the caller knows."""
    if isinstance(cell, Keeper):
        return
    warnings.warn(
        f"{type(cell).__name__} runs on the plain reference, correct and slower: {error}. "
        "See ostinato.explain(cell).",
        EngineWarning,
        stacklevel=6,
    )


def _fingerprint(cell: nn.Module, x: Tensor, state: State) -> tuple[Any, ...]:
    """All that tracing takes for fixed: types, modes, plain attributes, shapes of parameters."""
    told: list[Any] = [*_widths(x, state)]
    for module in cell.modules():
        told.append(type(module))
        for name, value in module.__dict__.items():
            if name not in _own:
                told.append(value if type(value) in (int, float, bool, str) else _told(value))
        told.append(module.training)
        told += [p if p is None else p.shape for p in module._parameters.values()]
        told.append(len(module._forward_hooks) + len(module._forward_pre_hooks))
    return tuple(told)


def _told(value: Any) -> Any:
    """A value that stands for an attribute: containers by what they hold, the rest by identity."""
    kind = type(value)
    if kind in (int, float, bool, str) or value is None:
        return value
    if kind is tuple or kind is list:
        return tuple(map(_told, value))
    if kind is dict:
        return tuple((name, _told(part)) for name, part in value.items())
    return id(value)


def kernel_of(
    found: Recurrence, cell: nn.Module, train: bool, dtype: torch.dtype, target: Target
) -> Kernel | NotFusable:
    """The kernel of a recurrence, made once in a process."""
    key = (found.key(), train, dtype, target)
    kernel = _kernels.get(key)
    if kernel is None:
        with _lock:
            kernel = _kernels.get(key)
            if kernel is None:
                try:
                    kernel = Kernel(found.program, train=train, dtype=dtype, target=target)
                except NotFusable as error:
                    warn(cell, error)
                    kernel = error
                _kernels[key] = kernel
    return kernel
