"""The least input of each task's network, so that it can be run to see who hears whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["asking"]

Ask: TypeAlias = Callable[[], Any]

# steps of an example: two would do, but a walk from the end and a cut want one more
_T = 3


def asking(network: nn.Module) -> Ask | None:
    """What runs a task's network on the least input it takes; None: it is of no task of ours.

    Example:
        >>> from ostinato.tasks.language_model.network import LanguageNetwork
        >>> from ostinato.tasks.language_model.settings import ModelSettings
        >>> asking(LanguageNetwork(9, ModelSettings(hidden_size=4)))().shape
        torch.Size([3, 1, 9])
        >>> asking(nn.GRU(2, 3)) is None
        True
    """
    make = _MAKERS.get(type(network).__name__)
    if make is None or not type(network).__module__.startswith("ostinato.tasks."):
        return None
    found: Ask = make(network)
    return found


def _where(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _tokens(network: nn.Module) -> Tensor:
    return torch.zeros(_T, 1, dtype=torch.int64, device=_where(network))


def _lengths(network: nn.Module) -> Tensor:
    return torch.full((1,), _T, device=_where(network))


def _language_model(network: Any) -> Ask:
    return lambda: network(_tokens(network))[0]


def _tagger(network: Any) -> Ask:
    from ostinato.tasks.tagger.network import TagBatch

    tokens, one = _tokens(network), _tokens(network)[:1, 0]
    batch = TagBatch(tokens, _lengths(network), one, tokens, _lengths(network), tokens)
    return lambda: network(batch)


def _classifier(network: Any) -> Ask:
    from ostinato.tasks.classifier.network import LabelBatch

    inputs, where = network.inputs, _where(network)
    tokens = _tokens(network)
    x = tokens if inputs.tokens else torch.zeros(inputs.steps or _T, 1, inputs.width, device=where)
    one = tokens[:1, 0]
    lengths = torch.full((1,), len(x), device=where)
    batch = LabelBatch(x, lengths, one, one, one, torch.tensor([0, 1], device=where))
    return lambda: network(batch)


def _translator(network: Any) -> Ask:
    tokens, lengths = _tokens(network), _lengths(network)
    return lambda: network.readout(network(tokens, lengths, tokens, lengths)[0])


def _captioner(network: Any) -> Ask:
    from ostinato.tasks.captioner.network import CaptionBatch

    tokens = _tokens(network)
    vector = torch.zeros(1, len(network.mean), device=_where(network))
    return lambda: network(CaptionBatch(vector, tokens, tokens, _lengths(network)))


def _composer(network: Any) -> Ask:
    notes = torch.zeros(_T, 1, network.keys, device=_where(network))
    return lambda: network.notes.nats(network(notes)[0][:-1, 0], notes[1:, 0])


def _forecaster(network: Any) -> Ask:
    from ostinato.data.windows import Windows

    sizes, where = network.sizes, _where(network)

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(*shape, device=where)

    batch = Windows(
        zeros(sizes.past(network.level.name), 1, sizes.targets),
        zeros(sizes.history, 1, sizes.covariates),
        zeros(sizes.history + sizes.horizon, 1, sizes.known),
        zeros(sizes.horizon, 1, sizes.targets),
        torch.zeros(1, dtype=torch.int64, device=where),
    )
    return lambda: network(batch)


_MAKERS: dict[str, Callable[[Any], Ask]] = {
    "LanguageNetwork": _language_model,
    "TaggerNetwork": _tagger,
    "ClassifierNetwork": _classifier,
    "TranslatorNetwork": _translator,
    "CaptionerNetwork": _captioner,
    "ComposerNetwork": _composer,
    "ForecasterNetwork": _forecaster,
}
