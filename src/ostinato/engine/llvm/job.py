"""What a kernel is run on, and by how many threads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ostinato.engine.llvm.batch import Layout
from ostinato.engine.llvm.kernel import Kernel
from ostinato.engine.llvm.sharing import FEW, Ways

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What a kernel is run on.

    Attributes:
        kernel: the code.
        layout: of the packed batch.
        wanted: states whose sequences are asked for.
        threads: how many may work.
        team: learns whether they are too many for so few rows; None: they are not.
    """

    kernel: Kernel
    layout: Layout
    wanted: tuple[int, ...]
    threads: int
    team: Ways | None = None

    def settled(self, kind: str) -> Job:
        """The same with as many threads as are worth their meetings in walks of a kind."""
        layout = self.layout
        if self.threads == 1 or layout.batch > FEW:
            return self
        team = self.kernel.ways[kind, layout.batch, layout.length.bit_length()]
        return dataclasses.replace(self, threads=self.threads if team.choose() else 1, team=team)

    def report(self, seconds: float) -> None:
        """Say how long the walk took, forward and back."""
        if self.team is not None:
            self.team.report(self.threads > 1, seconds / self.layout.rows)
