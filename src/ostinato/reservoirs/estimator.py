"""Echo state networks, fitted and asked as scikit-learn's estimators are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from ostinato.layers.recurrent import Recurrent
from ostinato.reservoirs.ahead import inputs_to_come, outputs_before
from ostinato.reservoirs.drawing import draw_reservoir
from ostinato.reservoirs.free import FreeRunning
from ostinato.reservoirs.gather import Gatherer
from ostinato.reservoirs.kept import kept_if_it_fails
from ostinato.reservoirs.layer import Reservoir
from ostinato.reservoirs.readouts import Force, Readout, Ridge
from ostinato.reservoirs.saving import load_network, save_network
from ostinato.reservoirs.sequences import Sequences, only, pairs, sequences

__all__ = ["EchoStateNetwork"]

# by which a network is built, beside those of its cells and the readout
_OPTIONS = (
    *("units", "layers", "bidirectional", "feedback", "ridge", "washout", "noise", "direct"),
    *("seed", "dtype"),
)


class EchoStateNetwork:
    """A reservoir of fixed random units and a readout that is learned.

        h[t] = (1 - a) h[t-1] + a act(W [x[t], y[t-1]] + U h[t-1] + b),    y[t] = V [h[t], x[t]] + c

    y[t-1] only with feedback: the target while it learns, the network's own output when it runs
    freely.

    Source: Jaeger (2001), GMD report 148; Lukosevicius (2012), "A practical guide to applying echo
    state networks".

    Args:
        units: H, number of units of each layer and direction.
        layers: L; the readout sees all of them.
        bidirectional: a second reservoir in each layer walks from the end.
        feedback: W's part for y[t-1] is from U(-feedback, feedback); None: outputs are not heard.
        readout: how V and c are found; a `Ridge` of the penalty `ridge` unless given.
        ridge: the penalty on V, or "cv": chosen by cross-validation in the same pass.
        washout: first steps of each sequence that are not learned from.
        noise: added, from U(-noise, noise), to what each unit hears while it learns.
        direct: the readout sees the inputs, too.
        seed: of all weights and the noise; None: drawn from torch's generator.
        dtype: of the reservoir.
        options: further ones of `ReservoirCell`: spectral_radius, leak, density, topology,
            input_scaling, input_density, bias_scaling, activation.

    A sequence is [T], [T, width], or a list of those; NumPy arrays are answered by NumPy arrays.

    Attributes:
        reservoir: the layers, once fitted.
        readout: V and c.

    Raises:
        ValueError: an option is out of range, or feedback is asked of a bidirectional network.

    Example:
        >>> from ostinato.data.problems import narma10
        >>> u, y = narma10(3000)
        >>> esn = EchoStateNetwork(200, input_scaling=0.2, washout=100, seed=0)
        >>> esn.fit(u[:2000], y[:2000]).score(u[2000:], y[2000:]) > 0.9
        True
    """

    def __init__(
        self,
        units: int = 500,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        feedback: float | None = None,
        readout: Readout | None = None,
        ridge: float | str = 1e-8,
        washout: int = 100,
        noise: float = 0.0,
        direct: bool = True,
        seed: int | None = None,
        dtype: torch.dtype = torch.float64,
        **options: Any,
    ) -> None:
        if washout != int(washout) or washout < 0 or not noise >= 0:
            raise ValueError(
                "EchoStateNetwork: washout and noise must not be negative, and washout whole, got "
                f"{washout} and {noise}."
            )
        if bidirectional and feedback is not None:
            raise ValueError(
                "EchoStateNetwork: a bidirectional network needs the whole sequence before its "
                "first output, so it cannot hear its outputs. Leave out one of the two."
            )
        if isinstance(readout, Force) and feedback is None:
            raise ValueError("EchoStateNetwork: Force learns in the loop. Give feedback=1.0.")
        self.units, self.layers, self.bidirectional = units, layers, bidirectional
        self.feedback, self.washout, self.noise, self.direct = feedback, int(washout), noise, direct
        self.seed = int(torch.randint(2**62, (1,))) if seed is None else seed
        self.dtype, self.options = dtype, options
        self.ridge = ridge
        self._given_readout = readout
        self.readout: Readout = Ridge(ridge) if readout is None else readout
        self.reservoir: Reservoir | None = None
        self.inputs = self.outputs = 0
        # a mistake in the options is told now, not when the data has been read
        given = options.get("topology", "random")
        tried = {**options, "topology": "ring" if isinstance(given, Tensor) else given}
        Reservoir(1, 1, **tried, seed=0, dtype=dtype)

    # learning

    def fit(self, x: Any, y: Any) -> Self:
        """Draw the reservoir, unless that was done before, and learn the readout.

        Args:
            x: inputs, one sequence or a list of them; None for a network that only hears itself.
            y: targets, as long as the inputs.

        Raises:
            ValueError: sizes do not fit, a sequence is no longer than the washout, or the readout
                cannot be found.
        """
        pairs = self._pairs(x, y)
        with kept_if_it_fails(self, self.readout):
            self._build(pairs[0][0].shape[1], _width(pairs[0][1]))
            self._begin()
            for given, wanted in pairs:
                self._learn(given, wanted, self.washout)
            self.readout.end()
        return self

    def partial_fit(self, x: Any, y: Any) -> Self:
        """Go on learning from one sequence that follows what came before, in constant memory.

        The first call washes out; the readout must be one that learns online: RLS, LMS, Force.

        Raises:
            ValueError: the readout does not, or sizes do not fit.
        """
        if not self.readout.online:
            raise ValueError(
                f"EchoStateNetwork: {type(self.readout).__name__} needs all data at once. Build it "
                "with readout=RLS() to learn on."
            )
        begun = self.reservoir is not None
        given, wanted = only("y", self._pairs(x, y, washout=0 if begun else None))
        with kept_if_it_fails(self, self.readout):
            self._build(given.shape[1], _width(wanted))
            if not begun:
                self._begin()
            self._learn(given, wanted, 0 if begun else self.washout, fresh=not begun)
        return self

    def _begin(self) -> None:
        like = torch.empty(0, dtype=self.dtype)
        self.readout.begin(self._gatherer.features, self.outputs, like)

    def _build(self, inputs: int, outputs: int) -> None:
        if self.reservoir is not None:
            if (inputs, outputs) != (self.inputs, self.outputs):
                raise ValueError(
                    f"EchoStateNetwork: it was drawn for {self.inputs} input(s) and "
                    f"{self.outputs} output(s), got {inputs} and {outputs}. Build a new one."
                )
            return
        self.inputs, self.outputs = inputs, outputs
        reservoir = draw_reservoir(
            inputs,
            outputs,
            units=self.units,
            layers=self.layers,
            bidirectional=self.bidirectional,
            feedback=self.feedback,
            seed=self.seed,
            dtype=self.dtype,
            **self.options,
        )
        self.reservoir = reservoir
        self._gatherer = Gatherer(
            reservoir, direct=self.direct, noise=self.noise, seed=self.seed + 1
        )

    def _learn(self, x: Tensor, y: Tensor, washout: int, fresh: bool = True) -> None:
        if fresh:
            self._states = self._gatherer.fresh(1)
            self._last = x.new_zeros(1, self.outputs)
        if isinstance(self.readout, Force):
            self._learn_in_the_loop(x, y, washout, self.readout)
            return
        if self.feedback is not None:
            x = torch.cat([x, torch.cat([self._last, y[:-1]])], dim=1)
            self._last = y[-1:].clone()
        self._gatherer.learn(x, y, washout, self.readout, self._states)

    @torch.no_grad()
    def _learn_in_the_loop(self, x: Tensor, y: Tensor, washout: int, readout: Force) -> None:
        for t in range(len(x)):
            given = torch.cat([x[t : t + 1], self._last], dim=1)
            ((_, features),) = self._gatherer.chunks(given[None], self._states, noisy=True)
            self._last = readout(features[0])
            if t >= washout and t % readout.every == 0:
                readout.add(features[0], y[t : t + 1])

    # asking

    @torch.no_grad()
    def predict(self, x: Any) -> Any:
        """Outputs [T, O] for inputs, from a state of zero; with feedback, it hears its own."""
        self._fitted()
        given = self._sequences("x", x)
        for one in given.tensors:
            self._check_inputs(one)
        answers = [self._answer(self._predict(one), given.numpy) for one in given.tensors]
        return answers if given.many else answers[0]

    def _predict(self, x: Tensor) -> Tensor:
        states = self._gatherer.fresh(1)
        if self.feedback is not None:
            return self._run(x[:, None], states, x.new_zeros(1, self.outputs))[:, 0]
        parts = [self.readout(f[:, 0]) for _, f in self._gatherer.chunks(x[:, None], states)]
        return torch.cat(parts)

    @torch.no_grad()
    def generate(self, steps: int, prompt: Any = None, x: Any = None) -> Any:
        """Run freely: each output is heard at the next step.

        Args:
            steps: how many outputs.
            prompt: outputs that came before, [T, O] or [B, T, O] for several runs side by side,
                which are heard from a state of zero; None: goes on where `fit` ended.
            x: inputs, where the network has some: of the prompt's steps and of those to come.

        Returns:
            [steps, O], or [B, steps, O].

        Raises:
            ValueError: the network has no feedback, or sizes do not fit.
        """
        self._fitted()
        if self.feedback is None:
            raise ValueError(
                "EchoStateNetwork: it does not hear its outputs, so it cannot run freely. Build it "
                "with feedback=1.0."
            )
        heard, numpy, many = outputs_before(prompt, self.outputs, self.dtype)
        inputs = None if x is None else self._one("x", x)[0]
        given = inputs_to_come(inputs, self.inputs, heard, steps)
        states, last = list(self._states), self._last
        if prompt is not None:
            states = self._gatherer.fresh(heard.shape[1])
            before = torch.cat([torch.zeros_like(heard[:1]), heard[:-1]])
            for _ in self._gatherer.chunks(torch.cat([given[: len(heard)], before], 2), states):
                pass
            last = heard[-1]
        y = self._run(given[len(heard) :], states, last)
        return self._answer(y.transpose(0, 1) if many else y[:, 0], numpy)

    def _run(self, x: Tensor, states: list[Tensor], last: Tensor) -> Tensor:
        """Outputs [T, B, O] of inputs [T, B, I], free running."""
        assert self.reservoir is not None
        cell = FreeRunning(
            self.reservoir.units,
            self.readout.weight.to(x),
            self.readout.bias.to(x),
            inputs=self.inputs,
            direct=self.direct,
        )
        given = x if self.inputs else x.new_zeros(*x.shape[:2], 1)
        y, _ = Recurrent(cell)(given, (*states, last))
        return y  # type: ignore[no-any-return]

    def states(self, x: Any) -> Any:
        """States [T, L*D*H] of the reservoir for inputs of a network without feedback."""
        self._fitted()
        given, numpy = self._one("x", x)
        wide = self._gatherer.features - (self.inputs if self.direct else 0)
        fresh = self._gatherer.fresh(1)
        parts = [f[:, 0, :wide] for _, f in self._gatherer.chunks(given[:, None], fresh)]
        return self._answer(torch.cat(parts), numpy)

    def score(self, x: Any, y: Any) -> float:
        """R^2, the share of the targets' variance that is explained, after the washout.

        Of targets that do not vary it is 1 where they are met, and 0 elsewhere, as in scikit-learn.
        """
        self._fitted()
        errors = total = 0.0
        for given, wanted in self._pairs(x, y):
            self._check_inputs(given)
            if _width(wanted) != self.outputs:
                raise ValueError(
                    f"EchoStateNetwork: targets must be [T, {self.outputs}], got "
                    f"{list(wanted.shape)}."
                )
            found = self._predict(given)[self.washout :]
            target = wanted[self.washout :]
            errors += float(((found - target) ** 2).sum())
            total += float(((target - target.mean(0)) ** 2).sum())
        return 1 - errors / total if total else float(errors == 0)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What it was built with, as scikit-learn's tools ask for it."""
        kept = {name: getattr(self, name) for name in _OPTIONS}
        return {**kept, "readout": self._given_readout, **self.options}

    def set_params(self, **params: Any) -> Self:
        """Build it anew with some other options; what was learned is forgotten.

        Raises:
            ValueError: an option is unknown or out of range; nothing has changed then.
        """
        changed = type(self)(**{**self.get_params(), **params})
        self.__dict__.clear()
        self.__dict__.update(changed.__dict__)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator, RegressorMixin

        tags = type("Tagged", (RegressorMixin, BaseEstimator), {})().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.target_tags.multi_output = True
        return tags

    # files

    def save(self, path: str | Path) -> None:
        """Write the fitted network into one safetensors file, to be opened by `load`.

        Raises:
            ValueError: nothing is learned yet, or the readout, activation or topology could not be
                built again from a file.
            SaveError: the disk is full, or the place cannot be written to; an older file is intact.
        """
        self._fitted()
        save_network(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open a network that `save` wrote: it answers, runs on, and goes on learning online.

        Raises:
            ValueError: the file is missing, cut short, or holds something else.

        Example:
            >>> import tempfile
            >>> esn = EchoStateNetwork(50, washout=10, seed=0).fit(range(100), range(100))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     esn.save(f"{folder}/line.safetensors")
            ...     again = EchoStateNetwork.load(f"{folder}/line.safetensors")
            >>> bool((again.predict(range(5)) == esn.predict(range(5))).all())
            True
        """
        found = load_network(cls, path)
        assert isinstance(found, cls)
        return found

    # data

    def _sequences(self, name: str, values: Any) -> Sequences:
        classes = name == "y" and getattr(self.readout, "outputs", None) is not None
        return sequences(name, values, self.dtype, classes=classes)

    def _one(self, name: str, values: Any) -> tuple[Tensor, bool]:
        """The one sequence that inputs are, and whether it was NumPy's."""
        found = self._sequences(name, values)
        given = only(name, found.tensors)
        self._check_inputs(given)
        return given, found.numpy

    def _pairs(self, x: Any, y: Any, washout: int | None = None) -> list[tuple[Tensor, Tensor]]:
        wanted = self._sequences("y", y)
        given = None if x is None else self._sequences("x", x)
        return pairs(given, wanted, self.washout if washout is None else washout, self.dtype)

    def _check_inputs(self, x: Tensor) -> None:
        if x.shape[1] != self.inputs:
            raise ValueError(
                f"EchoStateNetwork: inputs must be [T, {self.inputs}], got {list(x.shape)}."
            )

    def _fitted(self) -> None:
        if self.reservoir is None:
            raise ValueError("EchoStateNetwork: it has learned nothing yet. Call fit(x, y) first.")

    def _answer(self, values: Tensor, numpy: bool) -> Any:
        return values.numpy() if numpy else values


def _width(targets: Tensor) -> int:
    return targets.shape[1] if targets.dim() == 2 else 1
