"""What a word looks like: a vector from its letters, read in both directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ostinato.layers.sequence import SequenceLayer
from ostinato.layers.shapes import Lengths, check_lengths

__all__ = ["CharacterFeatures"]


class CharacterFeatures(nn.Module):
    """Reads the letters of words: what the net says after the last one, in both directions.

    A word is read once, however often it stands in a batch: give each distinct word as one row,
    and take the vectors by number.

    Source: Lample, Ballesteros, Subramanian, Kawakami, Dyer (2016), "Neural Architectures for Named
    Entity Recognition", arXiv:1603.01360.

    Args:
        letters: how many different letters there are.
        size: width of a letter's vector.
        stack: reads them, time first: a `Recurrent` of input width `size`, bidirectional or not.

    Shapes: letters int64 [T, W], lengths [W] -> [W, D*O], O the width of the stack's output in one
    of its D directions. A word without letters gives zeros.

    Raises:
        ValueError: the stack reads vectors of another width.

    Example:
        >>> from ostinato import LSTM
        >>> features = CharacterFeatures(30, 8, LSTM(8, 5, bidirectional=True))
        >>> features(torch.zeros(7, 3, dtype=torch.int64), [7, 1, 4]).shape
        torch.Size([3, 10])
    """

    def __init__(self, letters: int, size: int, stack: SequenceLayer) -> None:
        super().__init__()
        if stack.batch_first or stack.input_size not in (None, size):
            raise ValueError(
                f"CharacterFeatures: the stack must read [time, words, {size}], got one for "
                f"input_size={stack.input_size}, batch_first={stack.batch_first}."
            )
        self.embedding = nn.Embedding(letters, size)
        self.stack = stack

    def forward(self, letters: Tensor, lengths: Lengths) -> Tensor:
        """The vectors of W words."""
        T, W = letters.shape
        y: Tensor = self.stack(self.embedding(letters), lengths=lengths)[0]
        ends = check_lengths("CharacterFeatures", lengths, T, W, y.device)
        if T == 0:
            return y.new_zeros(W, y.shape[-1])
        last = y[T - 1] if ends is None else y[(ends - 1).clamp(min=0), torch.arange(W)]
        if not self.stack.bidirectional:
            return last
        half = y.shape[-1] // 2
        # backward, the last step stands where the word begins
        return torch.cat([last[:, :half], y[0, :, half:]], dim=-1)
