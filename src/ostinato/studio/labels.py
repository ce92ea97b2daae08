"""How tokens are shown: those that are blank or nothing to the eye by a sign."""

from __future__ import annotations

from torch import Tensor

from ostinato.data.tokenizers import Tokenizer

__all__ = ["label_of", "most_probable", "visible"]

_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def visible(text: str) -> str:
    r"""A token's text with each blank as a sign, so that a table can show it.

    Example:
        >>> visible("a b\n"), visible("")
        ('a␣b⏎', '∅')
    """
    return "".join(_SIGNS.get(letter, letter) for letter in text) or "∅"


def label_of(tokenizer: Tokenizer, token: int) -> str:
    """What stands for a token in a table.

    Example:
        >>> from ostinato.data.tokenizers import CharTokenizer
        >>> letters = CharTokenizer("ab ", end=True)
        >>> label_of(letters, 2), label_of(letters, letters.end)
        ('␣', '<end>')
    """
    if token == tokenizer.stop:
        return "<end>"
    if token == tokenizer.unknown:
        return "<unknown>"
    return visible(tokenizer.decode([token]))


def most_probable(tokenizer: Tokenizer, p: Tensor, count: int = 8) -> list[tuple[str, float]]:
    """Labels and probabilities of the most probable tokens.

    Args:
        tokenizer: of the model.
        p: probabilities [V].
        count: how many at most; those without any probability are left out.

    Example:
        >>> import torch
        >>> from ostinato.data.tokenizers import CharTokenizer
        >>> most_probable(CharTokenizer("ab"), torch.tensor([0.25, 0.75]), count=1)
        [('b', 0.75)]
    """
    best = p.topk(min(count, len(p)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(label_of(tokenizer, token), value) for token, value in pairs if value > 0]
