"""Ills that show beside simple guesses, on what was held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ostinato.compare.compare import KINDS, compared
from ostinato.compare.result import Comparison
from ostinato.compare.trial import Asked
from ostinato.doctor.checks.registry import check
from ostinato.doctor.checks.remedies import learn
from ostinato.doctor.findings import Finding, NotThere, Remedy, Severity
from ostinato.doctor.patient import Patient
from ostinato.extras import MissingExtraError

__all__ = ["baseline", "is_above_guesses"]

# task -> score, the simplest guess, sign
_SCORES = {
    "language_model": ("nats_per_token", "unigram", 1),
    "tagger": ("accuracy", None, -1),
    "classifier": ("accuracy", "most_frequent", -1),
    "captioner": ("exact", "most_frequent", -1),
    "forecaster": ("mse", "copy last", 1),
    "translator": ("bleu", "copied_source", -1),
    "composer": ("nats_per_step", "how often each key sounds", 1),
}
_SHARES = ("accuracy", "exact")
# how the guesses that fitting records begin -> what a comparison calls them
_NAMES = {
    "unigram": "unigrams",
    "witten_bell": "n-grams, witten-bell",
    "kneser_ney": "n-grams, modified-kneser-ney",
    "one tag for all": "most frequent tag",
    "most_frequent_tag": "most frequent tag of each word",
    "most_frequent": "most frequent label",
    "tfidf_pairs_regression": "logistic regression",
    "logistic_regression": "logistic regression",
    "copy last": "copy last",
    "seasonal naive": "seasonal naive",
    "ridge": "ridge on lags",
}
# a score this near to that of a guess, as a share of it, is at its level
_LEVEL = 0.02
# per cent, or points, of which the simplest guess is to be beaten by at least some
_WORTH = 5.0


@dataclass(frozen=True)
class _Standing:
    measure: str
    value: float
    guesses: Mapping[str, float]
    # the simplest guess
    naive: tuple[str, float] | None
    # 1 where less is better
    sign: int

    @property
    def best(self) -> str:
        return min(self.guesses, key=lambda name: self.sign * self.guesses[name])

    def behind(self, guess: float) -> float:
        """By how much it is worse than a guess; below 0 where it is better."""
        return self.sign * (self.value - guess)

    def told(self) -> str:
        names = {name.replace("_", " "): guess for name, guess in self.guesses.items()}
        guesses = ", ".join(f"{name} {guess:.4g}" for name, guess in names.items())
        return f"{self.measure} on the held-out part is {self.value:.4g}; {guesses}."


@check("a model no better than a simple guess", *_SCORES)
def baseline(patient: Patient) -> Finding | None:
    """A held-out score at the level of simple guesses, as far as chance lets one tell."""
    found = _standing(patient)
    if _at_level(found):
        assert found.naive is not None
        blind = _blind(patient, found, found.naive[0])
        if blind is not None:
            return blind
    guess = found.guesses[found.best]
    # of shares, what is left to be right
    room = 1 - guess if found.measure in _SHARES else abs(guess)
    if found.behind(guess) < -_LEVEL * room:
        return None
    return _beside(patient, found)


def _blind(patient: Patient, found: _Standing, name: str) -> Finding | None:
    """Beside the simplest guess, whose level the score has."""
    told = _compared(patient, name)
    gain = None if told is None else told.guesses[0].gain
    if gain is not None and gain.low > 0:
        return None
    sure = gain is None or gain.high < _WORTH
    return Finding(
        "baseline",
        Severity.SEVERE if sure else Severity.WARNING,
        "It is no better than the simplest guess"
        if sure
        else "It is not told apart from the simplest guess",
        f"{found.told()}{_ahead(told)}",
        learn(patient),
        _figures(found, told),
    )


def _beside(patient: Patient, found: _Standing) -> Finding | None:
    """Beside the best guess, whose level the score has."""
    told = _compared(patient, found.best)
    gain = None if told is None else told.guesses[0].gain
    if gain is None:
        if found.behind(found.guesses[found.best]) < 0:
            return None
        title, severity = "A simpler model scores as well", Severity.NOTE
        chance = " Whether that is chance is not told by the run alone."
    elif gain.low > 0:
        return None
    elif gain.high < 0:
        title, severity, chance = "A simpler model does better", Severity.WARNING, ""
    else:
        title, severity, chance = "Not told apart from a simpler model", Severity.NOTE, ""
    return Finding(
        "baseline",
        severity,
        title,
        f"{found.told()}{_ahead(told)}{chance}",
        _see(patient),
        _figures(found, told),
    )


def is_above_guesses(patient: Patient) -> bool:
    """Whether it is known that something was learned, if only before the first line."""
    if patient.task not in _SCORES:
        return False
    try:
        found = _standing(patient)
    except NotThere:
        return False
    return found.naive is not None and not _at_level(found)


def _at_level(found: _Standing) -> bool:
    """Whether a score is that of a guess that looks at nothing, or worse."""
    if found.naive is None:
        return False
    guess = found.naive[1]
    return found.behind(guess) > -_LEVEL * abs(guess)


def _standing(patient: Patient) -> _Standing:
    measure, name, sign = _SCORES[patient.task or ""]
    score: Mapping[str, Any] = patient.figures.get("held_out", {})
    guesses: Mapping[str, float] = patient.figures.get("baselines", {})
    if measure not in score or not guesses:
        raise NotThere("the run has no held-out score, or no baselines beside it")
    naive = None if name is None or name not in guesses else (name, float(guesses[name]))
    if patient.task == "tagger":
        counts = [tag["words"] for tag in score.get("by_tag", {}).values()]
        if sum(counts):
            naive = ("one tag for all", max(counts) / sum(counts))
    return _Standing(measure, float(score[measure]), guesses, naive, sign)


def _compared(patient: Patient, guess: str) -> Comparison | None:
    """The model beside one guess, on data; None where there are none, or they do not do."""
    given: Mapping[str, Any] | None = getattr(patient, "given", None)
    named = [name for start, name in _NAMES.items() if guess.startswith(start)]
    if given is None or not named or not patient.is_sound:
        return None
    asked = Asked(
        train=given["train"],
        validation=given["validation"],
        only=named[:1],
        history=False,
        seed=patient.seed,
    )
    try:
        found = compared(patient.module, given["data"], asked)
    except (ValueError, OSError, MissingExtraError):
        return None
    return found if found.guesses else None


def _ahead(told: Comparison | None) -> str:
    if told is None:
        return ""
    (one,) = told.guesses
    assert one.gain is not None
    unit = told.metric.gain_unit
    return (
        f" On {told.units}, it is ahead of {one.name} by {one.gain.value:.1f} {unit} "
        f"({one.gain.low:.1f} to {one.gain.high:.1f} with {told.level:.0%})."
    )


def _figures(found: _Standing, told: Comparison | None) -> dict[str, Any]:
    plain = {
        "value": found.value,
        "baselines": dict(found.guesses),
        "measure": found.measure,
    }
    return plain if told is None else {**plain, "beside": told.guesses[0].to_dict()}


def _see(patient: Patient) -> Remedy:
    if patient.task not in KINDS:
        return learn(patient)
    folder = getattr(patient, "folder", None) or "RUN"
    text = "See whether the task needs memory at all."
    return Remedy(text, command=f"ostinato compare {folder} DATA")
