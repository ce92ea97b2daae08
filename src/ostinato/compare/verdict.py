"""The verdict in plain words: whether the network is worth having, and how much memory it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ostinato.compare.bootstrap import Interval
from ostinato.compare.history import History

__all__ = ["Rival", "verdict"]


@dataclass(frozen=True)
class Rival:
    """A model that the network is compared with.

    Attributes:
        name: of the model.
        gain: by how much the network is better; below 0 where it is worse.
        memoryless: it has no state.
    """

    name: str
    gain: Interval
    memoryless: bool = True


def verdict(rivals: Sequence[Rival], unit: str, history: History | None) -> tuple[str, ...]:
    """One sentence on the worth of the network, and one on its memory, where that was asked.

    Args:
        rivals: at least one.
        unit: of the gains, "%" or "points".
        history: what the past is worth.

    Example:
        >>> verdict([Rival("a ridge on 96 lags", Interval(12.2, 8.1, 15.3))], "%", None)
        ('Worth having: yes. It beats the best memoryless model (a ridge on 96 lags) by 12.2 % (8.1
        to 15.3).',)
    """
    told = [_worth(rivals, unit)]
    if history is not None:
        told.append(_memory(history))
    return tuple(told)


def _worth(rivals: Sequence[Rival], unit: str) -> str:
    best = min(rivals, key=lambda one: one.gain.value)
    if best.gain.high < 0:
        return f"Worth having: no. {_named(best)} is better, by {_amount(best.gain, unit, -1)}."
    # of those that do as well, the one without a state is the simplest to have
    equals = [one for one in rivals if one.gain.low <= 0]
    if equals:
        equal = min(equals, key=lambda one: (not one.memoryless, one.gain.value))
        if equal.gain.value > 0:
            # not told from it, which is less than being equal to it
            return (
                f"Worth having: not shown. {_named(equal)} may do as well (the network is ahead by "
                f"{_amount(equal.gain, unit)})."
            )
        return (
            f"Worth having: no. {_named(equal)} does as well (the network is behind by "
            f"{_amount(equal.gain, unit, -1)})."
        )
    plain = [one for one in rivals if one.memoryless]
    if not plain:
        return f"Worth having: yes. It beats {best.name} by {_amount(best.gain, unit)}."
    first = min(plain, key=lambda one: one.gain.value)
    sentence = (
        f"Worth having: yes. It beats the best memoryless model ({first.name}) by "
        f"{_amount(first.gain, unit)}"
    )
    if best is not first:
        sentence += f", and the best model with a state ({best.name}) by "
        sentence += _amount(best.gain, unit)
    return sentence + "."


def _memory(history: History) -> str:
    used, unit, least = history.steps_used, history.unit, history.least_tried
    if used == 0:
        return (
            f"Needs memory: no. On {history.asked:,} places, it does as well when it reads nothing "
            f"but one {unit}."
        )
    if used == least:
        return f"Needs memory: at most {_steps(used, unit)}; fewer were not tried."
    return f"Needs memory: yes, {_amount_used(history)}{_order(history)}{_tried(history)}."


def _amount_used(history: History) -> str:
    used, most, unit = history.steps_used, history.most_tried, history.unit
    if used is None:
        return f"more than {_steps(most, unit)}"
    if used > most:
        return f"all of the past that there is, {_steps(used, unit)} at most"
    return f"about {_steps(used, unit)}"


def _order(history: History) -> str:
    used, ordered = history.steps_used, history.steps_in_order
    if ordered is None:
        return ", and their order matters all along"
    if ordered == 0:
        return ", whose order does not matter"
    if ordered == history.least_tried:
        return f", of which the order of the last {ordered:,} at most matters"
    if used is not None and ordered >= used:
        return ", in their order"
    return f", of which the order of the last {ordered:,} matters"


def _tried(history: History) -> str:
    """How far back it was looked, where something was left beyond what is used."""
    used, most = history.steps_used, history.most_tried
    if used is None:
        return "; no more were tried"
    beyond = max(used, history.steps_in_order or 0)
    return f"; up to {most:,} were tried, with no fall that counts" if beyond < most else ""


def _named(rival: Rival) -> str:
    name = rival.name[:1].upper() + rival.name[1:]
    return name if rival.memoryless else f"{name}, which has a state of its own,"


def _amount(gain: Interval, unit: str, sign: int = 1) -> str:
    low, high = sorted((sign * gain.low, sign * gain.high))
    # 0.0 takes the sign from -0.0
    return f"{sign * gain.value + 0.0:.1f} {unit} ({low:.1f} to {high:.1f})"


def _steps(steps: int, unit: str) -> str:
    return f"{steps:,} {unit}{'' if steps == 1 else 's'}"
