"""A task as a patient: its run folder, and batches of its data."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.doctor.findings import NotThere
from ostinato.doctor.hands import Hands, hands_of
from ostinato.doctor.history import History, read_history
from ostinato.doctor.patient import Patient
from ostinato.doctor.plain import disturbed
from ostinato.tasks.registry import load
from ostinato.tasks.task import Plan, Prepared, Task
from ostinato.training import Run, RunError

__all__ = ["TaskPatient", "load_settled"]

# batches of each part that are looked at, spread over all of it
_LOOKED_AT = 6
# tasks whose data need not be cut into parts
_IN_ONE = ("language_model", "tagger", "classifier")
_OTHERS = (
    "these are not the data it was trained on: give those (--train), and what fit was given for "
    "--validation and --test"
)
_UNRECORDED = "the run does not record the checksum of what it was trained on"
# a run that is being written may be between two files for a moment
_TRIES, _PAUSE = 5, 0.2


def load_settled(folder: Path, **options: Any) -> Task:
    """The model of a run folder, also of one that is being written just now.

    Raises:
        RunError: it is no whole run, also after some waiting.
    """
    for _ in range(_TRIES if (folder / "config.json").is_file() else 0):
        with suppress(RunError):
            model: Task = load(folder, **options)
            return model
        time.sleep(_PAUSE)
    last: Task = load(folder, **options)
    return last


class TaskPatient(Patient):
    """A task's model.

    Args:
        model: as it was fitted or loaded.
        data: as its `fit` takes them; None: only weights and history are looked at.
        train: what the model was trained on, where `data` are others, which are then what is new.
        validation: what `fit` was given for it, if anything.
        test: the same; not needed where `data` are that.
        folder: of its run.
        seed: of what checks draw.

    Raises:
        FileNotFoundError, ValueError: the data cannot be used.
    """

    def __init__(
        self,
        model: Task,
        data: Any = None,
        *,
        train: Any = None,
        validation: Any = None,
        test: Any = None,
        folder: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.task = model.SETTINGS.TASK
        self.settings = model.settings
        self.figures = model.figures
        self.model = model
        self.folder = folder
        self.hands: Hands = hands_of(model)
        self._data = _kept(data)
        self._train = _kept(train)
        self._beside = _kept(validation), _kept(test)
        super().__init__(model, self._described(), seed)

    # what is known

    @cached_property
    def _history(self) -> History:
        training = self.settings.training
        if self.folder is None:
            return History((), ())
        return read_history(self.folder, training.monitor, training.monitor_mode)

    @property
    def history(self) -> History:
        found = self._history
        if not found.training and not found.validation:
            raise NotThere("there is no run folder with a metrics.jsonl")
        return found

    @cached_property
    def data(self) -> Prepared:
        """The data, as `fit` prepares them, with the vocabularies of the model."""
        if self._data is None:
            raise NotThere("no data were given")
        if self.unreadable is not None:
            raise NotThere("the model cannot read the data: see unknown")
        if self._train is None:
            return _prepared(self.model, self._data, *self._beside)
        # what is new is looked at as a whole
        whole = {"validation": 0.0, "held_out": 0.0} if self.task in _IN_ONE else {}
        return _prepared(self.model, self._data, changes=whole)

    @property
    def given(self) -> dict[str, Any] | None:
        """What was given: "data" to be judged by, "train" and "validation" beside them; or None.

        "train" is None where the data are what was trained on, which keep a part to be judged by.
        """
        if self._data is None or self.unreadable is not None:
            return None
        validation, test = self._beside
        data, train = self._data, self._train
        if train is None and test is not None:
            data, train = test, self._data
        return {"data": data, "train": train, "validation": validation}

    @cached_property
    def unreadable(self) -> tuple[int, int, str] | None:
        """Characters that keep the data from being read, of how many, and which; or None."""
        return None if self._data is None else self.hands.unreadable(self._data)

    @cached_property
    def trained_on(self) -> Prepared | None:
        """What was trained on, as far as it is known."""
        if self._train is not None:
            return self._named()
        return self.data if self._is_known(self.data) else None

    def _named(self) -> Prepared:
        """What was given as the training data, which must be that."""
        validation, test = self._beside
        for last in [test] if test is not None else [None, self._data]:
            found = _prepared(self.model, self._train, validation, last)
            if self._is_known(found):
                return found
        raise ValueError(
            "doctor: what was given as the training data is not what the model was trained on (its "
            "checksum differs). Give the same files in the same order, and what fit was given as "
            "validation and test, too."
        )

    @property
    def _recorded(self) -> str | None:
        found: str | None = self.figures.get("data", {}).get("sha256")
        return found

    def _is_known(self, data: Prepared) -> bool:
        return self._recorded is not None and self._recorded == data.digest

    @property
    def same_data(self) -> bool:
        """Whether the data are those that it was trained on."""
        return self._is_known(self.data)

    @cached_property
    def batches(self) -> Sequence[Any]:
        return _some((self.trained_on or self.data).train, self.model.device)

    @cached_property
    def held(self) -> Sequence[Any]:
        found = self.unseen
        if found is None:
            raise NotThere("there are no data beside the training part")
        return _some(found, self.model.device)

    @property
    def unseen(self) -> Any:
        """Batches of what the model was not trained on: validation, or other data; or None."""
        if self.trained_on is None:
            raise NotThere(_OTHERS if self._recorded is not None else _UNRECORDED)
        return self.data.validation if self.same_data else self.data.train

    @property
    def longest_trained(self) -> int | None:
        """Steps of the longest row that it was trained on, by its record; None: it does not say."""
        found = self.figures.get("data", {}).get("lengths")
        return None if found is None else int(found["longest"])

    @property
    def strange(self) -> list[Any]:
        """Batches of what it was not trained on, which other data are as a whole."""
        if self.trained_on is None and self._recorded and self.longest_trained is not None:
            return [part for part in (self.data.train, self.data.validation) if part is not None]
        if self.unseen is None:
            raise NotThere("there are no data beside the training part")
        return [self.unseen]

    def brought(self, batch: Any) -> Any:
        """A batch on the model's device."""
        return _moved(batch, self.model.device)

    # what it does

    def _loss(self, batch: Any) -> Tensor:
        return self.hands.loss(batch)

    def _outputs(self, batch: Any) -> Tensor:
        return self.hands.outputs(batch)

    def other_padding(self, batch: Any) -> tuple[Any, float]:
        return self.hands.other_padding(batch)

    @contextmanager
    def disturbed_row(self, row: int) -> Iterator[None]:
        """Within a `with` block, what one row gives to the first recurrent layer is another."""

        def change(layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            x = inputs[0].clone()
            axis = 0 if layer.batch_first else 1
            x.select(axis, row).copy_(disturbed(inputs[0]).select(axis, row))
            return (x, *inputs[1:])

        handle = self.hands.stack().register_forward_pre_hook(change)
        try:
            yield
        finally:
            handle.remove()

    def _described(self) -> str:
        model = self.settings.model
        training = self.figures.get("training", {})
        where = f"{self.folder}: " if self.folder is not None else ""
        layers = f"{model.num_layers} layer" + ("s" if model.num_layers > 1 else "")
        steps = f", {training['steps']:,} steps" if "steps" in training else ""
        return f"{where}{self.noun}, {model.cell}, {layers} of {model.hidden_size} units{steps}"


@dataclass(frozen=True)
class _Looking(Plan):
    """A plan under which data are read and nothing is fitted; any data will do."""

    def check_data(self, digest: str) -> None:
        """All are welcome: whether they are the same is asked later."""


class _Standing:
    """Stands where a task's class is expected, and gives a model that is there already."""

    def __init__(self, model: Task) -> None:
        self.SETTINGS = model.SETTINGS
        self._model = model

    def __call__(self, *given: Any, **options: Any) -> Any:
        # preparing sets scales and the like
        return copy.deepcopy(self._model)

    def restore(self, *given: Any) -> Any:
        return self._model


def _prepared(
    model: Task,
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    changes: Mapping[str, Any] | None = None,
) -> Prepared:
    task = model.SETTINGS.TASK
    told = {"settings": model.settings.to_dict(), "figures": model.figures}
    run = Run(Path("."), task, told, model.texts())
    settings = model.settings.changed(**(changes or {}))
    plan = _Looking(settings, baselines=False, earlier=run)
    prepare: Any = type(model).prepare
    with _kept_draws():
        found: Prepared = prepare.__func__(_Standing(model), plan, data, validation, test)
    return found


@contextmanager
def _kept_draws() -> Iterator[None]:
    """Within a `with` block, draws are not felt outside."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _kept(data: Any) -> Any:
    """Data that can be read more than once."""
    if isinstance(data, Iterator):
        return list(data)
    if isinstance(data, (str, Path)) and str(data) == "-":
        raise ValueError("doctor: data are read more than once, which standard input cannot be.")
    if isinstance(data, Sequence) and "-" in data and not isinstance(data, str):
        raise ValueError("doctor: data are read more than once, which standard input cannot be.")
    return data


def _some(batches: Iterable[Any], device: torch.device) -> list[Any]:
    """A few batches, spread over all."""
    epoch: Any = batches.epoch(0) if hasattr(batches, "epoch") else batches
    if not hasattr(epoch, "__getitem__"):
        epoch = list(epoch)
    count = len(epoch)
    if not count:
        raise NotThere("the data make no batch")
    places = sorted({k * count // _LOOKED_AT for k in range(_LOOKED_AT)})
    # the first is looked into step by step, and is to have long rows
    return sorted((_moved(epoch[place], device) for place in places), key=_shortness)


def _shortness(batch: Any) -> int:
    lengths = getattr(batch, "lengths", None)
    return 0 if lengths is None else -int(lengths.max())


def _moved(batch: Any, device: torch.device) -> Any:
    if hasattr(batch, "to"):
        return batch.to(device)
    parts = {name: part.to(device) for name, part in vars(batch).items()}
    return replace(batch, **parts)
