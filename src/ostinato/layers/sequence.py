"""The contract that every sequence layer keeps: forward over time, one step, a stream."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from ostinato.engine import Call, Every, State, Walk
from ostinato.layers.dropout import locked_dropout
from ostinato.layers.initial import InitialState
from ostinato.layers.intime import InTime
from ostinato.layers.listening import listened, runner
from ostinato.layers.residual import with_input
from ostinato.layers.shapes import (
    Form,
    Lengths,
    backward_reset,
    check_lengths,
    check_reset,
    enter_clamp,
    unpack,
    within,
)
from ostinato.layers.states import StateForm
from ostinato.layers.stream import Stream

if TYPE_CHECKING:
    from ostinato.engine.quick import Quick
    from ostinato.engine.standing import Homes
    from ostinato.engine.stepper import Stepper
    from ostinato.layers.tracing import Trace

__all__ = ["SequenceLayer"]


_quick: weakref.WeakKeyDictionary[SequenceLayer, Quick] = weakref.WeakKeyDictionary()


class SequenceLayer(nn.Module):
    """Base of the layers that walk cells over sequences; `Recurrent` tells the contract.

    A subclass sets the attributes below and says which cell stands at a place, and with which
    parameters. Places count layer by layer, and inside a layer direction by direction.
    """

    input_size: int | None
    output_size: int | None
    num_layers: int
    bidirectional: bool
    batch_first: bool
    dropout: float
    residual: bool
    locked_dropout: bool
    checkpoint_every: Every | None
    initial: InitialState | None
    _states: StateForm
    _in_time: tuple[InTime, ...]
    _plain: bool
    _only_trains: bool

    def _cell(self, place: int) -> nn.Module:
        raise NotImplementedError

    def _parameters_of(self, place: int) -> Mapping[str, Tensor] | None:
        return None

    def trace(self, x: Tensor | PackedSequence, *inputs: Any, **keywords: Any) -> Trace:
        """Walk over a batch of sequences, and keep what every cell did at every step.

        Takes what the layer takes (state, lengths, reset, ...) and what `ostinato.trace` takes
        (only, rows, steps, units, gradients, ...), which see.

        Example:
            >>> from ostinato import LSTM
            >>> trace = LSTM(3, 4).trace(torch.zeros(5, 2, 3), only=["c", "f"])
            >>> trace["f"].shape
            (5, 2, 4)
        """
        from ostinato.layers.tracing import trace

        return trace(self, x, *inputs, **keywords)

    # the whole sequence

    def _forward(
        self,
        x: Tensor | PackedSequence,
        state: Any,
        lengths: Lengths | None,
        reset: Tensor | None,
        all_states: bool,
        context: Any,
        clamp: Tensor | None,
    ) -> Any:
        if lengths is None and reset is None and not all_states and context is None:
            found = None if clamp is not None else self._quickly(x, state, self.batch_first)
            if found is not None:
                return found
        x, lengths, form = self._enter(x, lengths)
        T, B = x.shape[:2]
        if lengths is not None:
            lengths = check_lengths(self._name, lengths, T, B, x.device)
        if clamp is not None:
            clamp = enter_clamp(self._name, clamp, T, B, form)
            self._check_clamp()
        starts = None
        if state is None or reset is not None:
            starts = self._start(B, x, context)
        states = starts if state is None else self._states.split(state, B, form.unbatched)
        if reset is not None:
            reset = check_reset(self._name, reset, T, B, form, x.device)
            if lengths is not None:
                reset = reset & within(lengths, T)
        assert states is not None
        y, states, history = self._run(x, states, lengths, reset, starts, all_states, clamp)
        out = form.leave(y)
        last = self._states.join(states, form.unbatched)
        if history is None:
            return out, last
        history = [tuple(form.leave_states(part) for part in parts) for parts in history]
        return out, last, self._states.join(history)

    def _quickly(self, x: Any, state: Any, batch_first: bool) -> tuple[Tensor, Any] | None:
        """The walk of a single cell over a dense batch, if that has been prepared and still holds.

        What cannot be done in this way is left to the general one, and so are all mistakes.
        """
        if torch.compiler.is_compiling() or type(x) is not Tensor or x.dim() != 3:
            return None
        if listened():
            return None
        form = self._states
        if self.bidirectional or len(form.sizes) != 1 or not self._simple():
            return None
        if self.checkpoint_every is not None:
            return None
        if state is None:
            if self.initial is not None or not form.zeros:
                return None
        elif type(state) is Tensor:
            state = (state,)
        elif type(state) is not tuple:
            return None
        if state is not None and len(state) != len(form.sizes[0]):
            return None
        x = x.transpose(0, 1) if batch_first else x
        quick = _quick.get(self)
        if quick is None or not quick.same():
            quick = self._prepare(x)
        found = None if quick is None else quick.walk(x, state)
        if found is None:
            return None
        y, last = found
        y = y.transpose(0, 1) if batch_first else y
        return y, last[0] if len(last) == 1 else last

    def _prepare(self, x: Tensor) -> Quick | None:
        from ostinato.engine.quick import Quick
        from ostinato.engine.standing import Unprepared

        if not x.is_floating_point() or x.shape[2] != self.input_size:
            return None
        leading = () if self._states.alone else (1,)
        sizes = self._states.sizes[0]
        try:
            quick = Quick(self._cell(0), self._homes(0), self._fixed(), x, sizes, leading)
        except Unprepared:
            _quick.pop(self, None)
            return None
        _quick[self] = quick
        return quick

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _enter(
        self, x: Tensor | PackedSequence, lengths: Lengths | None
    ) -> tuple[Tensor, Lengths | None, Form]:
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ValueError(
                    f"{self._name}: a packed input brings its lengths. Leave out lengths=."
                )
            form = Form(self.batch_first, packed=x)
            x, lengths = unpack(x)
            if self._wrong_width(x):
                raise self._wrong_input(x)
        else:
            batched = 3 if x.is_floating_point() else 2
            if x.dim() not in (batched - 1, batched) or self._wrong_width(x):
                raise self._wrong_input(x)
            form = Form(self.batch_first, unbatched=x.dim() < batched)
            x = form.enter(x)
            if lengths is not None and form.unbatched:
                lengths = torch.as_tensor(lengths).reshape(-1)
        return x, lengths, form

    def _wrong_width(self, x: Tensor) -> bool:
        return x.is_floating_point() and x.shape[-1] != self.input_size is not None

    def _check_clamp(self) -> None:
        if all(one.options.clamp is None for one in self._in_time):
            raise ValueError(f"{self._name}: no unit is clamped. Build it with clamp=Clamp(units).")

    def _wrong_input(self, x: Tensor) -> ValueError:
        axes = "batch, time" if self.batch_first else "time, batch"
        if not x.is_floating_point():
            return ValueError(
                f"{self._name}: whole numbers stand for one-hot vectors and must be [{axes}], or "
                f"[time] for one sequence, got {list(x.shape)}. Convert numbers with x.float()."
            )
        width = self.input_size
        return ValueError(
            f"{self._name}: input must be [{axes}, {width}], or [time, {width}] for one sequence, "
            f"got {list(x.shape)}. The last axis is input_size."
        )

    def _start(self, batch_size: int, x: Tensor, context: Any) -> list[State]:
        like = x if x.is_floating_point() else next(self.parameters(), torch.empty(0)).detach()
        if self.initial is not None:
            return cast("list[State]", self.initial(batch_size, like, context))
        if context is not None:
            raise ValueError(
                f"{self._name}: nothing here reads the context. Build the layer with "
                "initial_state=FromEncoder(...)."
            )
        first = self._states.first
        places = range(len(self._states.sizes))
        return [first(place, self._cell(place), batch_size, like) for place in places]

    def _run(
        self,
        x: Tensor,
        states: list[State],
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        starts: list[State] | None = None,
        all_states: bool = False,
        clamp: Tensor | None = None,
    ) -> tuple[Tensor, list[State], list[State] | None]:
        """Walk all layers, time first; states, starts and what comes back go cell by cell."""
        directions = 2 if self.bidirectional else 1
        masks = (reset, backward_reset(reset) if reset is not None and directions == 2 else None)
        walks: list[Walk] = []
        for place in range(0, len(states), directions):
            for d in range(directions):
                start = None if starts is None or reset is None else starts[place + d]
                call = Call(
                    self._cell(place + d),
                    x,
                    states[place + d],
                    lengths,
                    masks[d],
                    start,
                    d == 1,
                    all_states,
                    self._parameters_of(place + d),
                    self.checkpoint_every,
                )
                walks.append(self._walk(place + d, call, clamp))
            y = walks[-1].output
            if directions == 2:
                y = torch.cat([walks[-2].output, y], dim=-1)
            if self.residual:
                y = with_input(x, y, lengths, self.input_size)
            if self.dropout and self.training and place + directions < len(states):
                drop = locked_dropout if self.locked_dropout else F.dropout
                y = drop(y, self.dropout)
            x = y
        history = [walk.states for walk in walks if walk.states is not None]
        return x, [walk.state for walk in walks], history if all_states else None

    def take_clipped(self) -> float | None:
        """Share of the steps at which `clip_gradient` has cut, since this was last asked.

        Of all rows and states at all steps whose gradient was not 0, by norm; of all entries, by
        value. None where nothing has gone back by `backward()` since (or nothing is clipped).
        """
        counts = [one.take_clipped() for one in self._in_time]
        found = [count for count in counts if count is not None]
        if not found:
            return None
        cut, seen = torch.stack(found).sum(0).tolist()
        return float(cut / seen) if seen else 0.0

    def _walk(self, place: int, call: Call, clamp: Tensor | None) -> Walk:
        runs = runner(self, place)
        if self._plain and call.x.is_floating_point():
            return runs(call)
        return self._in_time[place].walk(call, self.training, clamp, runs)

    # one step

    def step(
        self, x: Tensor, state: Any = None, *, context: Any = None, clamp: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """Take one step: the same numbers as `forward` gives, one time step at a time.

        Args:
            x: one input for each row, [B, I], or [B] whole numbers that stand for one-hot vectors.
            state: what the last step returned; None begins a sequence.
            context: what the encoder of the initial state reads, where there is one.
            clamp: values of the clamped units at this step, [B, n].

        Returns:
            The output [B, O] and the new state.

        Raises:
            ValueError: the layer is bidirectional, or a shape is wrong.
        """
        self._check_steps(x)
        found = None
        if context is None and clamp is None:
            found = self._quickly(x.unsqueeze(0), state, False)
        if found is not None:
            return found[0][0], found[1]
        B = x.shape[0]
        states = self._start(B, x, context) if state is None else self._states.split(state, B)
        values = None if clamp is None else clamp.unsqueeze(0)
        y, states, _ = self._run(x.unsqueeze(0), states, clamp=values)
        return y[0], self._states.join(states)

    def stream(self, batch_size: int = 1, state: Any = None, *, context: Any = None) -> Stream:
        """Open a stream: an object that holds the state and maps x_t [B, I] to y_t [B, O].

        Args:
            batch_size: B, how many sequences run side by side.
            state: what to start from; None: the layer's initial state.
            context: what the encoder of the initial state reads, where there is one.

        Example:
            >>> from ostinato import LSTM
            >>> step = LSTM(3, 4).stream(batch_size=2)
            >>> step(torch.zeros(2, 3)).shape
            torch.Size([2, 4])
        """
        self._check_steps(None)
        return Stream(self, batch_size, state, context)

    def _stepper(self, x: Tensor, states: list[State]) -> Stepper | None:
        """What takes further steps like one of x [B, I] in one call for each cell, if that can be.

        Nothing of a step may be left to PyTorch: options that act inside time, sums with the input
        and dropout go the general way, and so does what no kernel was made for.
        """
        from ostinato.engine.stepper import Stepper, Unprepared

        if not self._simple() or not x.is_floating_point():
            return None
        places = range(len(states))
        try:
            cells, homes = [*map(self._cell, places)], [*map(self._homes, places)]
            return Stepper(cells, homes, self._fixed(), x, states)
        except Unprepared:
            return None

    def _simple(self) -> bool:
        """Whether a step is one step of each cell, and nothing else."""
        plain = self._plain or (self._only_trains and not self.training)
        return plain and not self.residual and not (self.dropout and self.training)

    def _homes(self, place: int) -> Homes | None:
        """For each parameter of a cell, the table that holds it and its name there."""
        return None

    def _fixed(self) -> list[tuple[dict[str, Any], str]]:
        """Where the cells are held that someone may exchange: tables and names there."""
        return []

    def _check_steps(self, x: Tensor | None) -> None:
        if self.bidirectional:
            raise ValueError(
                f"{self._name}: a bidirectional layer needs the whole sequence before its first "
                "output. Call the layer, or build it with bidirectional=False."
            )
        if x is None:
            return
        batched = 2 if x.is_floating_point() else 1
        if x.dim() != batched or self._wrong_width(x):
            raise ValueError(
                f"{self._name}: one step needs [batch, {self.input_size}], or [batch] whole "
                f"numbers, got {list(x.shape)}."
            )
