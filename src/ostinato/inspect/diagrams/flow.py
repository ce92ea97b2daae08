"""Which module of a network hears which: seen while it runs once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ostinato.engine import engine
from ostinato.layers.attention import Attention
from ostinato.layers.embedding import TiedReadout
from ostinato.layers.ngrams import NgramEmbedding
from ostinato.layers.pooling import Pooling
from ostinato.layers.sequence import SequenceLayer

__all__ = ["Flow", "Hears", "data_flow", "shown_modules"]

_READOUTS = (nn.Linear, TiedReadout)
_FILLS = ("zeros", "ones", "full", "empty", "rand", "randn")
_LIKE = frozenset(f"new_{fill}" for fill in _FILLS) | {f"{fill}_like" for fill in _FILLS}
_LIKE |= {"new_empty_strided"}
_WHOLE = (SequenceLayer, nn.RNNBase, Attention, Pooling, NgramEmbedding, TiedReadout)


@dataclass(frozen=True)
class Hears:
    """One module hears another.

    Attributes:
        source: name of the module whose output it is; None: what the network was given.
        target: name of the module that hears it; None: the network's own output.
        role: name of the argument by which it comes in; "" for the first.
    """

    source: str | None
    target: str | None
    role: str = ""


@dataclass
class Flow:
    """What was seen.

    Attributes:
        modules: by name, in the order of their first calls.
        widths: of the last axis of each one's output.
        arrows: each once, in the order in which they were seen.
        stepwise: names of the modules that were called on several vectors at once: of one row,
            those of its steps.
    """

    modules: dict[str, nn.Module] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    arrows: dict[Hears, None] = field(default_factory=dict)
    stepwise: set[str] = field(default_factory=set)

    def has_losses(self, name: str) -> bool:
        """Whether what a module says at each step is read out there and then.

        False for an encoder, for what is pooled, and where the last step alone is read.
        """
        heard = [one.target for one in self.arrows if one.source == name != one.target]
        return all(
            target is None
            or (target in self.stepwise and isinstance(self.modules[target], _READOUTS))
            for target in heard
        )


def shown_modules(network: nn.Module) -> dict[str, nn.Module]:
    """The modules of a network that are looked at as one: layers, and whatever has weights.

    Example:
        >>> network = nn.Sequential(nn.Embedding(5, 3), nn.Dropout(), nn.GRU(3, 4), nn.ReLU())
        >>> list(shown_modules(network))
        ['0', '2']
    """
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        if any(not outer or name.startswith(f"{outer}.") for outer in found):
            continue
        leaf = not any(True for _ in module.children())
        if isinstance(module, _WHOLE) or (leaf and any(True for _ in module.parameters())):
            found[name] = module
    return found


def data_flow(network: nn.Module, ask: Callable[[], Any]) -> Flow:
    """Run a network once, and note which of its modules hears which.

    What a module gives is followed through all tensor operations up to the modules that take it,
    also where it only decides which entries of another are taken.

    Args:
        network: whose modules are looked at.
        ask: runs it.

    Example:
        >>> network = nn.Sequential(nn.Embedding(5, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> flow = data_flow(network, lambda: network(torch.zeros(4, 1, dtype=torch.int64)))
        >>> [(one.source, one.target) for one in flow.arrows]
        [(None, '0'), ('0', '2'), ('2', None)]
    """
    seen = _Seen()
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), engine("eager"), _watched(shown_modules(network), seen), seen:
            seen.end(ask())
    finally:
        for module, mode in modes:
            module.training = mode
    return seen.flow


class _Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Which modules' outputs each tensor's memory holds something of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow = Flow()
        self.inside: str | None = None
        self._marks: dict[int, frozenset[str]] = {}
        # kept, so that none of them can lie where another was
        self._kept: list[Tensor] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        # what only has another's shape has nothing of it
        like = func.__name__.partition(".")[0]
        sources = frozenset() if like in _LIKE else self.marks((args, kwargs))
        if sources:
            self._mark(made, sources, more=True)
        return made

    def marks(self, given: Any) -> frozenset[str]:
        """The modules that some tensors have something of."""
        return frozenset().union(
            *(self._marks.get(_memory(one), frozenset()) for one in _tensors(given))
        )

    def called(self, name: str, module: nn.Module, given: Mapping[str, Any], made: Any) -> None:
        """Note that a module was called."""
        flow = self.flow
        flow.modules.setdefault(name, module)
        for place, (argument, value) in enumerate(given.items()):
            sources = self.marks(value)
            if place == 0 and not sources:
                flow.arrows[Hears(None, name)] = None
            for source in sorted(sources, key=list(flow.modules).index):
                flow.arrows[Hears(source, name, argument if place else "")] = None
        read = next(iter(_tensors(list(given.values()))), None)
        if read is not None and read.dim() and len(read) > 1:
            flow.stepwise.add(name)
        first = next(iter(_tensors(made)), None)
        if first is not None and first.dim():
            flow.widths.setdefault(name, first.shape[-1])
        self._mark(made, frozenset({name}))

    def end(self, made: Any) -> None:
        """Note what the network's own output has something of."""
        sources = self.marks(made)
        for source in sorted(sources, key=list(self.flow.modules).index):
            self.flow.arrows[Hears(source, None)] = None

    def _mark(self, made: Any, sources: frozenset[str], more: bool = False) -> None:
        for one in _tensors(made):
            place = _memory(one)
            self._marks[place] = sources | (self._marks.get(place, frozenset()) if more else set())
            self._kept.append(one)


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(given: Any) -> list[Tensor]:
    return [one for one in tree_leaves(given) if isinstance(one, Tensor)]


@contextmanager
def _watched(modules: Mapping[str, nn.Module], seen: _Seen) -> Iterator[None]:
    """Note every call of some modules, also of their single steps."""
    with ExitStack() as undo:
        for name, module in modules.items():
            ways = ("forward", "step") if isinstance(module, SequenceLayer) else ("forward",)
            for way in ways:
                own = getattr(module, way)
                setattr(module, way, partial(_noted, own, name, module, seen))
                undo.callback(delattr, module, way)
        yield


def _noted(
    own: Callable[..., Any], name: str, module: nn.Module, seen: _Seen, *args: Any, **keywords: Any
) -> Any:
    if seen.inside is not None:
        # a part of a call that is being noted already
        return own(*args, **keywords)
    seen.inside = name
    try:
        made = own(*args, **keywords)
    finally:
        seen.inside = None
    given = inspect.signature(own).bind(*args, **keywords).arguments
    seen.called(name, module, given, made)
    return made
