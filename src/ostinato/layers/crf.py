"""A linear-chain conditional random field: a row of tags is scored as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.layers.shapes import Lengths, check_lengths, within

__all__ = ["CRF"]


class CRF(nn.Module):
    r"""A linear-chain conditional random field over rows of tags.

        s(x, y) = b[y1] + sum_t e[t, y_t] + sum_{t>1} A[y_(t-1), y_t] + c[y_T]
        log p(y | x) = s(x, y) - log sum_y' exp s(x, y')

    with e the scores that a network gives each tag at each step. The sum over all rows of tags goes
    step by step (forward algorithm), and so does the search for the best row (Viterbi).

    Source: Lafferty, McCallum, Pereira (2001), "Conditional Random Fields", ICML; the scores as
    pytorch-crf (kmkurn) has them.

    Args:
        tags: K, how many tags there are.

    Shapes: scores [T, B, K], tags int64 [T, B]. Parameters: first [K] (b), following [K, K] (A;
    row: the tag before), last [K] (c).

    Raises:
        ValueError: there is no tag.

    Example:
        >>> crf = CRF(3)
        >>> scores = torch.zeros(4, 2, 3)
        >>> crf(scores, torch.zeros(4, 2, dtype=torch.int64), lengths=[4, 1]).shape
        torch.Size([2])
        >>> crf.decode(scores, lengths=[4, 1]).shape
        torch.Size([4, 2])
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        if tags < 1:
            raise ValueError(f"CRF: tags must be at least 1, got {tags}.")
        self.tags = tags
        self.first = nn.Parameter(torch.empty(tags))
        self.following = nn.Parameter(torch.empty(tags, tags))
        self.last = nn.Parameter(torch.empty(tags))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew, close to 0: at first the scores alone decide."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, scores: Tensor, tags: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Log-likelihood of each row of tags, [B]; 0 for a row without steps.

        Args:
            scores: of each tag at each step, [T, B, K].
            tags: int64 [T, B]; behind a row's end they may be anything.
            lengths: valid steps of each row; None: all T.

        Raises:
            ValueError: a shape is wrong.
        """
        valid = self._valid(scores, lengths)
        if tags.shape != scores.shape[:2]:
            raise ValueError(
                f"CRF: tags must be {list(scores.shape[:2])} like the scores without their last "
                f"axis, got {list(tags.shape)}."
            )
        tags = tags.masked_fill(~valid, 0)
        return self._score(scores, tags, valid) - self._all_rows(scores, valid)

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Lengths | None = None) -> Tensor:
        """The most probable row of tags, int64 [T, B]; 0 behind a row's end.

        Args:
            scores: of each tag at each step, [T, B, K].
            lengths: valid steps of each row; None: all T.

        Raises:
            ValueError: a shape is wrong.
        """
        valid = self._valid(scores, lengths)
        T, B, _ = scores.shape
        best = scores.new_zeros(T, B, dtype=torch.int64)
        if T == 0:
            return best
        value = self.first + scores[0]
        # where the best row up to here came from; behind a row's end, from the same tag
        same = torch.arange(self.tags, device=scores.device).expand(B, -1)
        origins = []
        for t in range(1, T):
            highest, origin = (value[:, :, None] + self.following).max(dim=1)
            going = valid[t, :, None]
            value = torch.where(going, highest + scores[t], value)
            origins.append(torch.where(going, origin, same))
        tag = (value + self.last).argmax(dim=1)
        best[T - 1] = tag
        for t in range(T - 2, -1, -1):
            tag = origins[t].gather(1, tag[:, None])[:, 0]
            best[t] = tag
        return best.masked_fill(~valid, 0)

    def _score(self, scores: Tensor, tags: Tensor, valid: Tensor) -> Tensor:
        own = scores.gather(2, tags[:, :, None])[:, :, 0]
        total = own.masked_fill(~valid, 0).sum(dim=0)
        steps = self.following[tags[:-1], tags[1:]]
        total = total + steps.masked_fill(~valid[1:], 0).sum(dim=0)
        if len(tags) == 0:
            return total
        ends = valid.sum(dim=0)
        last = tags.gather(0, (ends - 1).clamp(min=0)[None])[0]
        return total + torch.where(ends > 0, self.first[tags[0]] + self.last[last], 0.0)

    def _all_rows(self, scores: Tensor, valid: Tensor) -> Tensor:
        if len(scores) == 0:
            return scores.new_zeros(scores.shape[1])
        value = self.first + scores[0]
        for t in range(1, len(scores)):
            total = torch.logsumexp(value[:, :, None] + self.following, dim=1) + scores[t]
            value = torch.where(valid[t, :, None], total, value)
        return torch.where(valid[0], torch.logsumexp(value + self.last, dim=1), 0.0)

    def _valid(self, scores: Tensor, lengths: Lengths | None) -> Tensor:
        if scores.dim() != 3 or scores.shape[-1] != self.tags:
            raise ValueError(
                f"CRF: scores must be [time, batch, {self.tags}], got {list(scores.shape)}."
            )
        T, B, _ = scores.shape
        if lengths is not None:
            lengths = check_lengths("CRF", lengths, T, B, scores.device)
        if lengths is None:
            return torch.ones(T, B, dtype=torch.bool, device=scores.device)
        return within(lengths, T)

    def extra_repr(self) -> str:
        return f"{self.tags}"
