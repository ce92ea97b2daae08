"""The equations: one family of cells a file."""

from ostinato.cells.activations import activation_function
from ostinato.cells.base import Cell, TorchKernel
from ostinato.cells.clockwork import ClockworkRNN
from ostinato.cells.elman import Elman
from ostinato.cells.gated import MGU, Gated
from ostinato.cells.gates import Gates
from ostinato.cells.gru import GRU
from ostinato.cells.independent import IndRNN
from ostinato.cells.jordan import Jordan
from ostinato.cells.leaky import LeakyRNN
from ostinato.cells.lstm import LSTM
from ostinato.cells.minimal import MinGRU, MinLSTM
from ostinato.cells.multiplicative import MultiplicativeLSTM
from ostinato.cells.narx import NARX
from ostinato.cells.registry import NAMES, CellFactory, by_name, resolve

__all__ = [
    "GRU",
    "LSTM",
    "MGU",
    "NAMES",
    "NARX",
    "Cell",
    "CellFactory",
    "ClockworkRNN",
    "Elman",
    "Gated",
    "Gates",
    "IndRNN",
    "Jordan",
    "LeakyRNN",
    "MinGRU",
    "MinLSTM",
    "MultiplicativeLSTM",
    "TorchKernel",
    "activation_function",
    "by_name",
    "resolve",
]
