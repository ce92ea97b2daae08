"""`doctor`: look a model over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.config import nearest
from ostinato.doctor.checks import CHECKS, Check
from ostinato.doctor.findings import Finding, NotAsked, NotThere, Report, Severity
from ostinato.doctor.patient import Patient
from ostinato.doctor.plain import Loss, PlainPatient
from ostinato.doctor.ward import TaskPatient, load_settled
from ostinato.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

__all__ = ["chosen_checks", "doctor", "examine"]

_ORDER = {severity: place for place, severity in enumerate(Severity)}


def doctor(
    subject: str | Path | Task | nn.Module,
    data: Any = None,
    *,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    loss: Loss | None = None,
    lengths: Any = None,
    batch_axis: int | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    seed: int = 0,
    watch: Callable[[str], object] | None = None,
) -> Report:
    """Look a model over: what is wrong with it, by which numbers, and what to do.

    Nothing is changed: weights, modes and random states are left as they were.

    Args:
        subject: a run folder, a fitted task, or any module with recurrent layers of torch.nn or of
            ours.
        data: of a task: what it was fitted on, as its `fit` takes it, or other data with answers.
            Of a plain module: a batch, (inputs, targets); inputs are a tensor, or a tuple of
            arguments of which the first holds the sequences.
        train: of a task: what it was fitted on, where `data` are others.
        validation: of a task: what `fit` was given for it, if anything.
        test: of a task: the same; not needed where `data` are that.
        loss: of a plain module: maps what it returns, and targets, to a number.
        lengths: of a plain module: valid steps of each row, where rows are padded, int64 [B].
        batch_axis: of a plain module: axis of the sequences along which rows lie, 0 or 1; None:
            found from `lengths` or from targets [B], where these tell.
        only: checks to make, by name; none: all.
        skip: checks to leave out.
        seed: of what checks draw.
        watch: called with the name of each check before it is made.

    Raises:
        FileNotFoundError, ValueError: the folder is no run, the data cannot be used, or there is no
            check of a name; the message says what to do.

    Example:
        >>> import torch
        >>> net = torch.nn.LSTM(3, 8)
        >>> report = doctor(net, torch.randn(12, 5, 3), batch_axis=0, only=["batch_axis"])
        >>> report.severe, report["batch_axis"].title
        (True, 'Rows of a batch influence each other')
    """
    checks = chosen_checks(only, skip)
    parts = {"train": train, "validation": validation, "test": test}
    batch = {"loss": loss, "lengths": lengths, "batch_axis": batch_axis}
    patient = _patient(subject, data, parts, batch, seed)
    return examine(patient, checks, watch=watch, told=bool(only))


def examine(
    patient: Patient,
    checks: Sequence[Check],
    *,
    watch: Callable[[str], object] | None = None,
    told: bool = False,
) -> Report:
    """Make checks on a patient.

    Args:
        patient: what is looked at.
        checks: in the order in which they are made.
        watch: called with the name of each check before it is made.
        told: also tell of checks that are for models of another kind.
    """
    findings: list[Finding] = []
    healthy: list[str] = []
    skipped: dict[str, str] = {}
    for one in checks:
        if watch is not None:
            watch(one.name)
        try:
            found = one(patient)
        except NotThere as reason:
            if told or not isinstance(reason, NotAsked):
                skipped[one.name] = str(reason.args[0])
            continue
        if found is None:
            healthy.append(one.name)
        else:
            findings.append(found)
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    return Report(patient.subject, tuple(findings), tuple(healthy), skipped)


def chosen_checks(only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Check]:
    """The checks to make.

    Raises:
        ValueError: there is none of a name, or none is left.

    Example:
        >>> [check.name for check in chosen_checks(only=["padding"])]
        ['padding']
        >>> chosen_checks(skip=["pading"])
        Traceback (most recent call last):
        ValueError: doctor: there is no check 'pading'. Did you mean padding?
    """
    for name in [*only, *skip]:
        if name not in CHECKS:
            raise ValueError(f"doctor: there is no check {name!r}{nearest(name, CHECKS)}")
    left = [one for one in CHECKS.values() if (not only or one.name in only)]
    left = [one for one in left if one.name not in skip]
    if not left:
        raise ValueError("doctor: no check is left. Skip fewer.")
    return left


def _patient(
    subject: str | Path | Task | nn.Module,
    data: Any,
    parts: dict[str, Any],
    plain: dict[str, Any],
    seed: int,
) -> Patient:
    if isinstance(subject, (str, Path, Task)):
        for name, value in plain.items():
            if value is not None:
                raise ValueError(f"doctor: {name} is for plain modules; a task knows its own.")
        if isinstance(subject, Task):
            return TaskPatient(subject, data, **parts, seed=seed)
        model = load_settled(Path(subject))
        return TaskPatient(model, data, **parts, folder=Path(subject), seed=seed)
    for name, value in parts.items():
        if value is not None:
            raise ValueError(
                f"doctor: {name} is for tasks; of a plain module, a batch is looked at."
            )
    return PlainPatient(subject, data, **plain, seed=seed)
