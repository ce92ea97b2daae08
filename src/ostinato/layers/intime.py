"""The options of one cell that act inside time, put around it and fed as it walks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.engine import Call, Walk, run
from ostinato.layers.clamp import Clamp, Clamped
from ostinato.layers.clip_gradient import ClipGradient, Clipped
from ostinato.layers.onehot import OneHotInput
from ostinato.layers.recurrent_dropout import RecurrentDropout, WeightDrop, states_in_products
from ostinato.layers.shapes import within
from ostinato.layers.wrapper import Wrapper
from ostinato.layers.zoneout import Zoneout

__all__ = ["InTime", "Options"]


@dataclass(frozen=True)
class Options:
    """What may be asked of one cell; see `Recurrent` for what each does."""

    recurrent_dropout: float = 0.0
    zoneout: tuple[float, ...] = ()
    weight_drop: float = 0.0
    clamp: Clamp | None = None
    clip_gradient: ClipGradient | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is asked, in training or in evaluation."""
        rates = (self.recurrent_dropout, self.weight_drop, *self.zoneout)
        return not any(rates) and self.clamp is None and self.clip_gradient is None

    @property
    def only_trains(self) -> bool:
        """Whether nothing that is asked acts in evaluation."""
        return not any(self.zoneout) and self.clamp is None


class InTime:
    """Walks one cell with its options, and one-hot input, around it.

    Args:
        cell: the cell, or one like it, to be asked what it does with its state.
        input_size: width of its input.
        sizes: widths of its states.
        options: what is asked.
    """

    def __init__(
        self, cell: nn.Module, input_size: int | None, sizes: Sequence[int], options: Options
    ) -> None:
        self.input_size = input_size
        self.sizes = tuple(sizes)
        self.options = options
        self._masked: tuple[int, ...] = ()
        self._weight_drop: WeightDrop | None = None
        # wrapped cells are kept, since engines know a cell by its identity
        self._chains: dict[tuple[object, ...], list[Wrapper]] = {}
        if options.idle:
            return
        if input_size is None or not sizes:
            raise ValueError(
                f"{type(cell).__name__}: options that act inside time need its widths. Give it "
                "input_size and state_sizes, or pass them to the layer."
            )
        if options.clamp is not None:
            options.clamp.check(sizes)
        if options.recurrent_dropout:
            self._masked = states_in_products(cell, input_size, sizes)
        if options.weight_drop:
            self._weight_drop = WeightDrop(cell, input_size, sizes, options.weight_drop)

    def walk(
        self,
        call: Call,
        training: bool,
        clamp: Tensor | None = None,
        runs: Callable[[Call], Walk] = run,
    ) -> Walk:
        """Walk the call's cell with what belongs around it; `runs` makes the walk."""
        if torch.compiler.is_compiling():
            call = self._recordable(call, training)
        parameters = call.parameters
        if training and self._weight_drop is not None:
            parameters = self._weight_drop.draw(call.cell, parameters)
        like = call.state[0]
        chain = self.chain(call.cell, training, not call.x.is_floating_point(), like)
        count = len(call.state)
        x, state, reset_state = call.x, call.state, call.reset_state
        for wrapper in chain:
            if isinstance(wrapper, OneHotInput):
                x = wrapper.look_up(self._tokens(call), parameters)
                continue
            if isinstance(wrapper, Clamped) and wrapper.values is not clamp:
                wrapper.values = clamp
            extra = wrapper.columns(call, like)
            x = x if extra is None else torch.cat([x, extra.to(x)], dim=-1)
            kept = wrapper.extra_state(call, like)
            state = (*state, *kept)
            reset_state = None if reset_state is None else (*reset_state, *kept)
        outer = chain[-1] if chain else call.cell
        prefix = "cell." * len(chain)
        walk = runs(
            dataclasses.replace(
                call,
                cell=outer,
                x=x,
                state=state,
                reset_state=reset_state,
                parameters=parameters and {prefix + n: v for n, v in parameters.items()},
            )
        )
        states = None if walk.states is None else walk.states[:count]
        return Walk(walk.output, walk.state[:count], states)

    def _tokens(self, call: Call) -> Tensor:
        if call.lengths is None:
            return call.x
        # padding may hold anything
        return call.x.masked_fill(~within(call.lengths, len(call.x)), 0)

    def _recordable(self, call: Call, training: bool) -> Call:
        """The call as a trace can follow it: vectors for numbers, and wrappers that are there."""
        from ostinato.layers.compiled import ready

        like = call.state[0]
        ready(self, call.cell, training, like.dtype, like.device)
        if call.x.is_floating_point() or self.input_size is None:
            return call
        vectors = F.one_hot(self._tokens(call).long(), self.input_size).to(like)
        return dataclasses.replace(call, x=vectors)

    def chain(self, cell: nn.Module, training: bool, tokens: bool, like: Tensor) -> list[Wrapper]:
        """The wrappers around a cell, the innermost first; made once."""
        key = (training, tokens, like.dtype, like.device)
        chain = self._chains.get(key)
        if chain is None or (chain and chain[0].cell is not cell):
            chain = self._wrap(cell, training, tokens, like)
            self._chains[key] = chain
        return chain

    def _wrap(self, cell: nn.Module, training: bool, tokens: bool, like: Tensor) -> list[Wrapper]:
        chain: list[Wrapper] = []

        def around() -> nn.Module:
            return chain[-1] if chain else cell

        options = self.options
        if tokens:
            if self.input_size is None or not self.sizes:
                raise ValueError(
                    f"{type(cell).__name__}: whole numbers as one-hot input need its widths. Give "
                    "it input_size and state_sizes, or pass them to the layer."
                )
            chain.append(OneHotInput(around(), self.sizes, self.input_size))
        if training and options.recurrent_dropout:
            rate = options.recurrent_dropout
            chain.append(RecurrentDropout(around(), self.sizes, rate, self._masked))
        if any(options.zoneout):
            expected = not training
            chain.append(Zoneout(around(), self.sizes, options.zoneout, expected=expected))
        if options.clamp is not None:
            chain.append(Clamped(around(), self.sizes, options.clamp, like))
        if training and options.clip_gradient is not None:
            # outermost, where a step's gradient comes in
            chain.append(Clipped(around(), self.sizes, options.clip_gradient, like.detach()))
        return chain

    def take_clipped(self) -> Tensor | None:
        """How often `clip_gradient` has cut since last asked, and of how many: [2]; or None."""
        wrappers = [one for chain in self._chains.values() for one in chain]
        counts = [one.take() for one in wrappers if isinstance(one, Clipped)]
        found = [count.cpu() for count in counts if count is not None]
        return torch.stack(found).sum(0) if found else None
