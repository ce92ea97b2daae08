"""How gradients come back through time: by lag, for each recurrent layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.doctor.checks.registry import check
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient, Walked
from ostinato.layers.tracing import Trace, trace

__all__ = ["exploding", "lag_profiles", "truncated", "vanishing"]

# lags at which vanishing is judged, at most
_JUDGED_AT = 10
_FEWEST_LAGS = 5
# what a step leaves of a gradient, below which nothing is learned over ten steps (0.45^10 = 3e-4)
_SHRINKS = 0.45
_GROWS = 10.0
_GROWS_MUCH = 1000.0
# share of the gradient that still arrives at the first step of a chunk
_CUT_OFF = 0.2


@dataclass(frozen=True)
class Profile:
    """Gradient of the loss at the last step with respect to the states, by lag, of one layer.

    Attributes:
        layer: its name.
        cell: class of its cell.
        norms: over those of lag 0, the median over rows, [lags + 1]; NaN where no row reaches.
    """

    layer: str
    cell: str
    norms: NDArray[np.float64]

    @property
    def lags(self) -> int:
        """The longest lag."""
        return len(self.norms) - 1

    @property
    def factor(self) -> float:
        """What one step leaves of it, over the first ten lags or fewer."""
        lag = min(_JUDGED_AT, self.lags)
        return float(max(self.norms[lag], 1e-45) ** (1 / lag))

    @property
    def reach(self) -> int:
        """The first lag at which less than a hundredth arrives."""
        below = np.flatnonzero(self.norms < 0.01)
        return int(below[0]) if len(below) else len(self.norms)


@check("gradients that vanish on their way back")
def vanishing(patient: Patient) -> Finding | None:
    """Gradients of which nothing is left a few steps back.

    Bengio, Simard, Frasconi (1994), doi:10.1109/72.279181, on why that keeps a net from learning.
    """
    worst = min(lag_profiles(patient), key=lambda one: one.factor)
    if not worst.factor < _SHRINKS:
        return None
    lag = min(_JUDGED_AT, worst.lags)
    return Finding(
        "vanishing",
        Severity.WARNING,
        "Gradients vanish",
        f"In layer {worst.layer} ({worst.cell}), each step back leaves {worst.factor:.2g} of the "
        f"gradient of the loss at the last step: {worst.norms[lag]:.1e} arrives {lag} steps back, "
        f"less than a hundredth after {worst.reach}. What is further back is not learned from.",
        _remember(patient, worst.cell, worst.lags),
        _figures(worst),
    )


@check("gradients that explode on their way back")
def exploding(patient: Patient) -> Finding | None:
    """Gradients that grow from step to step."""
    worst = max(lag_profiles(patient), key=lambda one: _most(one.norms))
    most = _most(worst.norms)
    if most <= _GROWS:
        return None
    lag = int(np.nanargmax(worst.norms))
    training = getattr(patient.settings, "training", None)
    loose = training is not None and (
        training.clip is None or training.first_order() is not training
    )
    settings = {"clip": 1.0} if training is None or loose else {"cell": _gated(worst.cell)}
    return Finding(
        "exploding",
        Severity.SEVERE if most > _GROWS_MUCH else Severity.WARNING,
        "Gradients explode",
        f"The gradient of the loss at the last step is {most:.3g} times as large {lag} steps back "
        f"in layer {worst.layer} ({worst.cell}) as at that step: a factor of "
        f"{most ** (1 / max(lag, 1)):.3g} a step.",
        patient.remedy(
            "Clip the gradients."
            if "clip" in settings
            else "They are clipped already: take a cell whose gates hold them.",
            "Clip each step by ostinato.training.Clipper(1.0)(module.parameters()).",
            **settings,
        ),
        _figures(worst),
    )


@check("gradients that are cut off while they still matter", "language_model")
def truncated(patient: Patient) -> Finding | None:
    """Chunks of a text that are shorter than what the network could learn from."""
    furthest = max(lag_profiles(patient), key=lambda one: float(one.norms[-1]))
    arrived = float(furthest.norms[-1])
    if not arrived > _CUT_OFF:
        return None
    length = patient.settings.data.chunk_length
    return Finding(
        "truncated",
        Severity.NOTE,
        "Chunks may be too short",
        f"At the first step of a chunk, {furthest.lags} steps back, {arrived:.0%} of the gradient "
        f"of the last step still arrives in layer {furthest.layer}. What lies before the chunk "
        "is not learned from.",
        patient.remedy("Let gradients go back further.", chunk_length=2 * length),
        _figures(furthest),
    )


def lag_profiles(patient: Patient) -> Sequence[Profile]:
    """The profile of each layer, measured once.

    Raises:
        NotThere: the loss does not hear the last step, or rows are too short.
    """
    if "lags" not in patient.measured:
        patient.measured["lags"] = [
            profile for walked in patient.walked for profile in _profiles(patient, walked)
        ]
    found: Sequence[Profile] = patient.measured["lags"]
    if not found:
        raise NotThere(f"no layer hears the loss at the last of at least {_FEWEST_LAGS + 1} steps")
    return found


def _profiles(patient: Patient, walked: Walked) -> list[Profile]:
    call = walked.call
    if walked.upstream is None:
        return []
    upstream = call.time_first(walked.upstream)
    T, B, width = upstream.shape
    last = torch.full((B,), T - 1) if call.lengths is None else call.lengths - 1
    if T <= _FEWEST_LAGS:
        return []
    asked = torch.zeros_like(upstream)
    rows = torch.arange(B)[last >= 0]
    asked[last[rows], rows] = upstream[last[rows], rows]
    if getattr(call.layer, "bidirectional", False):
        # the walk from the end sees the last step first
        asked[..., width // 2 :] = 0
    if not bool(asked.any()):
        return []
    inputs = [part.detach() if isinstance(part, Tensor) else part for part in call.inputs]
    with patient.still(gradients=True):
        try:
            found = trace(
                call.layer,
                *inputs,
                **call.keywords,
                only="state",
                gradients=lambda out: (call.time_first(out[0]) * asked).sum(),
            )
        except ValueError:
            # a subclass of torch's layers, whose steps nobody knows
            return []
    starts = _starts(call.keywords.get("reset"), call, last)
    made = [_profile(found, name, call.name, last.numpy(), starts) for name in _layers(found)]
    return [profile for profile in made if profile is not None]


def _layers(found: Trace) -> list[str]:
    return [layer.name for layer in found.layers]


def _profile(
    found: Trace, layer: str, module: str, last: NDArray[np.int64], starts: NDArray[np.int64]
) -> Profile | None:
    parts = [
        part
        for part in found.parts
        if part.layer == layer and part.direction == 0 and part.gradients is not None
    ]
    if not parts:
        return None
    told = [np.asarray(part.gradients, dtype=np.float64) for part in parts]
    norms = np.sqrt(np.sum([np.square(each).sum(-1) for each in told], axis=0))
    lags = np.full(norms.shape, np.nan)
    for b, (end, start) in enumerate(zip(last.tolist(), starts.tolist(), strict=True)):
        if end > start and norms[end, b] > 0:
            lags[: end - start + 1, b] = norms[start : end + 1, b][::-1] / norms[end, b]
    reached = ~np.isnan(lags).all(axis=1)
    if reached.sum() <= _FEWEST_LAGS:
        return None
    name = ".".join(part for part in (module, layer) if part)
    cell = next(one.cell for one in found.layers if one.name == layer)
    return Profile(name, cell, np.nanmedian(lags[: int(reached.sum())], axis=1))


def _starts(reset: Tensor | None, call: Any, last: Tensor) -> NDArray[np.int64]:
    """The step of each row before which its last stretch does not reach."""
    if reset is None:
        return np.zeros(len(last), dtype=np.int64)
    marks = call.time_first(reset).cpu().numpy()
    steps = np.arange(len(marks))[:, None]
    starts: NDArray[np.int64] = np.where(marks & (steps <= last.numpy()), steps, 0).max(axis=0)
    return starts


def _most(norms: NDArray[np.float64]) -> float:
    finite = norms[~np.isnan(norms)]
    return float(finite.max()) if len(finite) else 0.0


def _figures(profile: Profile) -> dict[str, Any]:
    kept = [float(value) for value in profile.norms]
    return {"layer": profile.layer, "factor": profile.factor, "by_lag": kept}


def _gated(cell: str) -> str:
    return "gru" if cell.upper() == "LSTM" else "lstm"


def _remember(patient: Patient, cell: str, lags: int) -> Remedy:
    if cell.upper() == "LSTM" and patient.settings is not None:
        text = "Start with gates that keep the memory longer."
        return Remedy(text, {"model.cell_options.forget_bias": 2.0})
    if patient.settings is not None:
        return patient.remedy("Take a cell whose gates keep memories.", cell=_gated(cell))
    if cell.upper() in ("LSTM", "GRU"):
        text = "Start with gates that keep memories as long as the rows are."
        start = f"ostinato.initialise(module, chrono={max(lags, 2)})"
        return Remedy(text, command=f"Before training: {start}")
    start = 'ostinato.initialise(module, "orthogonal")'
    return Remedy(
        "Start with a recurrence that keeps lengths.", command=f"Before training: {start}"
    )
