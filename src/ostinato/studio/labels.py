"""How tokens, layers and probabilities are shown: what is blank to the eye by a sign."""

from __future__ import annotations

from torch import Tensor

from ostinato.data.tokenizers import Tokenizer
from ostinato.inspect.reading.base import best_choices
from ostinato.inspect.reading.texts import name_of

__all__ = ["label_of", "layer_words", "most_probable", "visible"]

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
    return visible(name_of(tokenizer, token))


def layer_words(layer: str, direction: int) -> str:
    """A layer of a trace in words.

    Example:
        >>> layer_words("stack.1", 0), layer_words("encoder.0", 1)
        ('layer 1', 'encoder, layer 0, from the end')
        >>> layer_words("members.2.stack.0", 0)
        'member 2, layer 0'
    """
    module, _, number = layer.rpartition(".")
    # most networks have one stack, which needs no name
    names = ".".join(name for name in module.split(".") if name not in ("", "stack", "network"))
    words = [*([names.replace("members.", "member ")] if names else []), f"layer {number}"]
    return ", ".join([*words, "from the end"] if direction else words)


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
    best = best_choices(p, count, lambda token: label_of(tokenizer, token))
    return [pair for pair in best if pair[1] > 0]
