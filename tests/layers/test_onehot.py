import pytest
import torch
from layer_cases import LAYERS, H, I, gradients, make
from torch import nn
from torch.nn import functional as F

import ostinato as ost
from ostinato import cells

close = torch.testing.assert_close
CELLS = {
    "elman": lambda: cells.Elman(I, H),
    "jordan": lambda: cells.Jordan(I, H, output_size=2),
    "lstm": lambda: cells.LSTM(I, H, peephole=True),
    "joint": lambda: cells.LSTM(I, H, joint=True),
    "layer-norm": lambda: cells.GRU(I, H, layer_norm=True),
    "gru-before": lambda: cells.GRU(I, H, reset="before"),
    "multiplicative": lambda: cells.MultiplicativeLSTM(I, H),
    "min-lstm": lambda: cells.MinLSTM(I, H),
    "clockwork": lambda: cells.ClockworkRNN(I, H, periods=(1, 2)),
}
TOKENS = torch.randint(I, (6, 3), generator=torch.Generator().manual_seed(4))


def vectors(tokens):
    return F.one_hot(tokens.long(), I).double()


def assert_same(layer, tokens, **keywords):
    expected = layer(vectors(tokens), **keywords)
    got = layer(tokens, **keywords)
    close(got, expected)
    parameters = list(layer.parameters())
    loss = [result[0].square().sum() for result in (got, expected)]
    close(gradients(loss[0], parameters), gradients(loss[1], parameters))


@pytest.mark.parametrize("make_cell", CELLS.values(), ids=CELLS)
def test_whole_numbers_stand_for_one_hot_vectors(make_cell):
    assert_same(ost.Recurrent(make_cell().double()), TOKENS)


@pytest.mark.parametrize("name", LAYERS)
def test_in_every_layer(name):
    layer = make(name)
    assert_same(layer, TOKENS)
    assert_same(layer, TOKENS.int())
    close(layer(TOKENS[:, 0]), layer(vectors(TOKENS[:, 0])))
    first = make(name, batch_first=True)
    close(first(TOKENS.T), first(vectors(TOKENS.T)))


def test_padding_may_hold_any_number():
    layer = make("bidirectional")
    lengths = [6, 2, 0]
    holed = TOKENS.clone()
    holed[2:, 1] = -100
    holed[:, 2] = 10**6
    close(layer(holed, lengths=lengths), layer(vectors(TOKENS), lengths=lengths))


def test_with_options_inside_time():
    layer = ost.LSTM(I, H, zoneout=0.2, recurrent_dropout=0.3, weight_drop=0.1).double()
    torch.manual_seed(0)
    expected = layer(vectors(TOKENS))
    torch.manual_seed(0)
    close(layer(TOKENS), expected)


def test_residual_adds_the_one_hot_vector():
    assert_same(ost.Recurrent(cells.GRU(I, I).double(), residual=True), TOKENS)
    assert_same(ost.Recurrent(cells.GRU(I, 1).double(), 2, residual=True), TOKENS)


def test_no_vector_of_the_vocabularys_width_is_ever_made():
    layer = ost.GRU(10**6, 1)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.untyped_storage().nbytes() > 10**6:
                seen.append((func, result.data_ptr()))
            return result

    with Watch():
        layer(torch.zeros(5, 4, dtype=torch.int64))
    own = {parameter.data_ptr() for parameter in layer.parameters()}
    assert all(pointer in own for _, pointer in seen)


def test_numbers_outside_the_classes_are_refused():
    with pytest.raises(IndexError, match=r"must be in 0..2, got 0..3"):
        make("gru")(torch.tensor([[0, 3]]))
    with pytest.raises(IndexError, match=r"must be in 0..2, got -1..1"):
        make("gru")(torch.tensor([[1, -1]]))


def test_a_cell_that_does_more_with_x_than_a_product_is_refused():
    class Squares(ost.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.w = nn.Linear(input_size, hidden_size)

        def forward(self, x, h):
            return torch.tanh(self.w(x * x) + h)

    with pytest.raises(ValueError, match="uses x in 'mul'"):
        ost.Recurrent(Squares(I, H))(TOKENS)
    with pytest.raises(ValueError, match="need its widths"):
        ost.Recurrent(nn.GRUCell(I, H))(TOKENS, torch.zeros(3, H))
