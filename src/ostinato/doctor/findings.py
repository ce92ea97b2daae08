"""What a doctor says: findings, each with its evidence and one remedy, and the report of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Finding", "NotAsked", "NotThere", "Remedy", "Report", "Severity"]


class Severity(str, Enum):
    """How much it matters.

    - SEVERE: what the model says, or what was measured of it, cannot be trusted.
    - WARNING: it works less well than it could, or soon will.
    - NOTE: worth knowing.
    """

    SEVERE = "severe"
    WARNING = "warning"
    NOTE = "note"


class NotThere(LookupError):  # noqa: N818 - no error: a check has nothing to look at
    """A check needs what is not there; the message says what, and how to give it."""


class NotAsked(NotThere):
    """A check is for models of another kind, and need not be told of."""


@dataclass(frozen=True)
class Remedy:
    """One thing to do.

    Attributes:
        text: what, in a sentence.
        settings: to fit again with, by section and name, e.g. {"training.clip": 1.0}.
        command: to run, or Python to write, where no setting does it.

    Example:
        >>> print(Remedy("Clip the gradients.", settings={"training.clip": 1.0}))
        Clip the gradients. Fit again with --set training.clip=1.0
    """

    text: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    def __str__(self) -> str:
        if self.settings:
            return f"{self.text} Fit again with {self.options()}"
        return f"{self.text} {self.command}".strip()

    def options(self) -> str:
        """The settings as options of `ostinato fit`."""
        return " ".join(
            f"--set {shlex.quote(f'{name}={_toml(value)}')}"
            for name, value in self.settings.items()
        )


@dataclass(frozen=True)
class Finding:
    """One ill.

    Attributes:
        check: what found it, by name.
        severity: how much it matters.
        title: what is wrong, in a few words.
        evidence: what was measured, in a sentence or two.
        remedy: what to do.
        figures: the numbers of the evidence, by name; plain values.
    """

    check: str
    severity: Severity
    title: str
    evidence: str
    remedy: Remedy
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "check": self.check,
            "severity": self.severity.value,
            "title": self.title,
            "evidence": self.evidence,
            "remedy": {
                "text": self.remedy.text,
                "settings": dict(self.remedy.settings),
                "command": self.remedy.command,
            },
            "figures": dict(self.figures),
        }


@dataclass(frozen=True)
class Report:
    """All that was found, and what was looked for.

    Attributes:
        subject: what was looked at, in a line.
        findings: worst first.
        healthy: checks that found nothing, by name.
        skipped: checks that could not look -> why.

    Example:
        >>> report = Report("a model", (), ("weights",), {"padding": "there are no data"})
        >>> report.severe, report.codes
        (False, ())
        >>> print(report)
        a model
        Nothing is wrong, as far as 1 check could see.
        <BLANKLINE>
        Fine: weights
        Not looked at: padding (there are no data)
    """

    subject: str
    findings: Sequence[Finding]
    healthy: Sequence[str]
    skipped: Mapping[str, str]

    @property
    def severe(self) -> bool:
        """Whether any finding is severe."""
        return any(finding.severity is Severity.SEVERE for finding in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """Names of the checks that found something."""
        return tuple(finding.check for finding in self.findings)

    def __getitem__(self, check: str) -> Finding:
        for finding in self.findings:
            if finding.check == check:
                return finding
        raise KeyError(f"The check {check!r} found nothing. These did: {', '.join(self.codes)}.")

    def __contains__(self, check: object) -> bool:
        return check in self.codes

    def summary(self) -> str:
        """How many findings of which severity, in a line."""
        count = len(self.healthy) + len(self.findings)
        if not self.findings:
            return f"Nothing is wrong, as far as {_many(count, 'check')} could see."
        found = [
            _many(number, severity.value)
            for severity in Severity
            if (number := sum(f.severity is severity for f in self.findings))
        ]
        return f"{', '.join(found)}, by {_many(count, 'check')}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "subject": self.subject,
            "severe": self.severe,
            "findings": [finding.to_dict() for finding in self.findings],
            "healthy": list(self.healthy),
            "skipped": dict(self.skipped),
        }

    def __str__(self) -> str:
        lines = [self.subject, self.summary()]
        for finding in self.findings:
            lines += [
                "",
                f"{finding.severity.value.upper()}  {finding.title}  [{finding.check}]",
                f"  {finding.evidence}",
                f"  Remedy: {finding.remedy}",
            ]
        return "\n".join([*lines, "", *self.tail()])

    def tail(self) -> list[str]:
        """Lines that name what is fine and what could not be looked at."""
        lines = [f"Fine: {', '.join(self.healthy)}"] if self.healthy else []
        told: dict[str, list[str]] = {}
        for check, why in self.skipped.items():
            told.setdefault(why, []).append(check)
        parts = [f"{', '.join(checks)} ({why})" for why, checks in told.items()]
        if parts:
            lines.append(f"Not looked at: {'; '.join(parts)}")
        return lines


def _many(count: int, what: str) -> str:
    if what == Severity.SEVERE.value:
        return f"{count} severe"
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) and value != int(value) else str(value)
