"""Sequence layers: cells walked over time, stacked, started and regularised."""

from ostinato.layers.characters import CharacterFeatures
from ostinato.layers.clamp import Clamp
from ostinato.layers.crf import CRF
from ostinato.layers.dropout import LockedDropout
from ostinato.layers.embedding import Embedding, TiedReadout
from ostinato.layers.initial import (
    Constant,
    FromEncoder,
    Given,
    InitialState,
    Learned,
    Random,
    Subset,
)
from ostinato.layers.recurrent import Recurrent
from ostinato.layers.regularise import activation_penalty, slowness_penalty
from ostinato.layers.stream import Stream
from ostinato.layers.torch_like import GRU, LSTM, RNN

__all__ = [
    "CRF",
    "CharacterFeatures",
    "Clamp",
    "Constant",
    "Embedding",
    "FromEncoder",
    "GRU",
    "Given",
    "InitialState",
    "LSTM",
    "Learned",
    "LockedDropout",
    "RNN",
    "Random",
    "Recurrent",
    "Stream",
    "Subset",
    "TiedReadout",
    "activation_penalty",
    "slowness_penalty",
]
