"""What checks look at: a module, its batches, and what is known of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ostinato.doctor.calls import LayerCall, layers_of, watched
from ostinato.doctor.findings import NotAsked, NotThere, Remedy
from ostinato.doctor.history import History

__all__ = ["Patient", "Walked"]


# settings of steps along the gradient
_FIRST_ORDER = frozenset({"lr", "clip"})


@dataclass(frozen=True)
class Walked:
    """A call of a recurrent layer on the first training batch, and what the loss asks of it.

    Attributes:
        call: as it was made.
        upstream: d loss / d y, of the form of `call.y`; None where the loss does not hear it.
    """

    call: LayerCall
    upstream: Tensor | None


class Patient:
    """Base of what is examined. What is not known raises `NotThere`, which skips the check.

    Args:
        module: looked at in evaluation mode; left as it was.
        subject: what it is, in a line.
        seed: of what checks draw.

    Attributes:
        task: name of the task, or None for a stranger's module.
        settings: of the task; None for a stranger's module.
        figures: what fit measured.
        hands: what takes hold of a task's batches; None of a stranger's module.
        measured: what several checks look at, by name, measured once.
    """

    task: str | None = None
    settings: Any = None
    hands: Any = None
    figures: Mapping[str, Any] = {}

    def __init__(self, module: nn.Module, subject: str, seed: int = 0) -> None:
        self.module = module
        self.subject = subject
        self.seed = seed
        # what several checks look at, measured once
        self.measured: dict[str, Any] = {}

    # what is known

    @property
    def history(self) -> History:
        """How the training went."""
        raise NotAsked("it has no run folder")

    @property
    def batches(self) -> Sequence[Any]:
        """Some batches of what is trained on."""
        raise NotThere("no data were given")

    @property
    def held(self) -> Sequence[Any]:
        """Some batches of what decides, or of what is new to the model."""
        raise NotThere("there are no data beside the training part")

    def need_sound(self) -> None:
        """Raise `NotThere` where the module cannot be run: its weights are no numbers."""
        if not self.is_sound:
            raise NotThere("the weights are no numbers")

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        return next(self.module.parameters()).device

    @cached_property
    def is_sound(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(part.isfinite().all()) for part in self.module.state_dict().values())

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The recurrent layers by name."""
        return layers_of(self.module)

    # what it does: to be called within `still`, and each time under the same draws

    def loss(self, batch: Any) -> Tensor:
        """The loss of training on a batch, a scalar."""
        torch.manual_seed(self.seed)
        return self._loss(batch)

    def outputs(self, batch: Any) -> Tensor:
        """What the network says, with an axis of rows; see `row_axis`."""
        torch.manual_seed(self.seed)
        return self._outputs(batch)

    def _loss(self, batch: Any) -> Tensor:
        raise NotImplementedError

    def _outputs(self, batch: Any) -> Tensor:
        raise NotImplementedError

    @property
    def row_axis(self) -> int:
        """The axis of `outputs` along which the rows of the batch lie."""
        return 1

    def other_padding(self, batch: Any) -> tuple[Any, float]:
        """The batch with something else behind the end of its rows, and the share of padding."""
        raise NotAsked("its rows have no padding")

    def other_row(self, batch: Any) -> tuple[Any, int] | None:
        """The batch with one row replaced, and that row's number; None: of one row only."""
        raise NotThere("nobody said which axis of the batch holds its rows: give batch_axis")

    @cached_property
    def walked(self) -> list[Walked]:
        """What the recurrent layers did in the first training batch."""
        self.need_sound()
        batch = self.batches[0]
        with self.still(gradients=True):
            loss, calls = watched(self.module, lambda: self.loss(batch))
            ys = [call.y for call in calls]
            if not ys:
                raise NotThere("it has no recurrent layer that reads whole batches")
            found: Sequence[Tensor | None] = [None] * len(ys)
            if loss.requires_grad:
                found = torch.autograd.grad(loss, ys, allow_unused=True)
        return [Walked(call, grad) for call, grad in zip(calls, found, strict=True)]

    @contextmanager
    def still(self, *, gradients: bool = False) -> Iterator[None]:
        """Evaluation mode, and no draws that are felt outside, within a `with` block."""
        before = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        # cuDNN keeps nothing for a gradient in evaluation mode
        plain = torch.backends.cudnn.flags(enabled=not gradients)
        try:
            with torch.random.fork_rng(), torch.set_grad_enabled(gradients), plain:
                torch.manual_seed(self.seed)
                yield
        finally:
            for part, training in before:
                part.training = training

    # what to do

    def remedy(self, text: str, command: str = "", /, **settings: Any) -> Remedy:
        """A remedy by settings, where the patient has settings, else by a command or Python.

        Args:
            text: what to do.
            command: where no setting does it, or the module is a stranger's.
            settings: by their names, without sections.
        """
        if self.settings is None or not settings:
            return Remedy(text, command=command)
        homes = self.settings.homes()
        training = getattr(self.settings, "training", None)
        curved = training is not None and training.first_order() is not training
        if curved and settings.keys() & _FIRST_ORDER:
            text += " Hessian-free steps know no such setting: train by AdamW."
            rest = {n: value for n, value in settings.items() if n not in _FIRST_ORDER}
            settings = {"optimizer": "adamw", **rest}
        return Remedy(text, {f"{homes[name]}.{name}": value for name, value in settings.items()})

    @property
    def noun(self) -> str:
        """What the task is called."""
        return "module" if self.task is None else self.task.replace("_", " ")
