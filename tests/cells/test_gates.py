import pytest
import torch

from ostinato.cells import Gates


def test_the_start_is_orthogonal_in_every_gate_and_zero_in_the_biases():
    for gates in (Gates("i f", 3, 4, bias="both"), Gates("i f", 3, 4, joint=True)):
        recurrent, _ = gates.weights()
        for block in recurrent.chunk(2):
            torch.testing.assert_close(block @ block.T, torch.eye(4))
        for name, parameter in gates.named_parameters():
            assert bool(parameter.any()) == ("bias" not in name)


def test_the_terms_apart_add_up_to_the_whole():
    x, h = torch.randn(2, 3), torch.randn(2, 5)
    for options in ({}, {"bias": "both"}, {"joint": True}, {"layer_norm": True}, {"bias": False}):
        gates = Gates("i f", 3, 4, state_size=5, **options)
        driven, recurrent = gates.apart(x, h)
        for whole, a, b in zip(gates(x, h), driven, recurrent, strict=True):
            torch.testing.assert_close(whole, a + b)


def test_a_bias_beside_the_recurrent_matrix_is_part_of_the_recurrent_term():
    gates = Gates("n", 3, 4, bias="both")
    gates.bias_hh.data.fill_(2.0)
    (driven,), (recurrent,) = gates.apart(torch.zeros(1, 3), torch.zeros(1, 4))
    assert driven.tolist() == [[0.0] * 4]
    assert recurrent.tolist() == [[2.0] * 4]


@pytest.mark.parametrize("joint", [False, True])
def test_a_mask_cuts_connections_in_value_and_gradient(joint):
    mask = torch.tensor([[1, 0], [1, 1]])
    gates = Gates("a b", 3, 2, joint=joint, mask=mask)
    x, h = torch.randn(4, 3), torch.randn(4, 2, requires_grad=True)
    a, b = gates(x, h)
    (gradient,) = torch.autograd.grad(a[:, 0].sum() + b[:, 0].sum(), h)
    assert gradient[:, 0].all()
    assert not gradient[:, 1].any()
    (gradient,) = torch.autograd.grad(gates(x, h)[0][:, 1].sum(), h)
    assert gradient.all()


def test_layer_norm_ignores_the_scale_of_what_it_normalises():
    gates = Gates("i f", 3, 4, layer_norm=True, bias=False).double()
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()
    for one, other in zip(gates(x, h), gates(100 * x, 100 * h), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_one_gates_bias_can_be_set():
    gates = Gates("i f", 3, 2)
    gates.start_bias("f", 1.5)
    assert gates.bias.tolist() == [0, 0, 1.5, 1.5]
    with pytest.raises(ValueError, match="has no bias to set"):
        Gates("i f", 3, 2, bias=False).start_bias("f", 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": " "}, "at least one gate"),
        ({"bias": "one"}, 'True, False or "both"'),
        ({"bias": "both", "joint": True}, "one matrix has one bias"),
        ({"mask": torch.ones(2, 2)}, r"mask must be \[4, 4\], got \[2, 2\]"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Gates(**{"names": "i f", "input_size": 3, "hidden_size": 4, **options})
