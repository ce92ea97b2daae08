import copy

import pytest
import torch
from torch import nn

from ostinato.layers import Embedding, LockedDropout, TiedReadout

close = torch.testing.assert_close
TOKENS = torch.tensor([[0, 1, 2], [2, 2, 0]])


def test_is_torchs_embedding_with_its_options():
    embedding = Embedding(5, 4, padding_idx=2, dtype=torch.float64)
    theirs = nn.Embedding(5, 4, padding_idx=2, dtype=torch.float64)
    theirs.load_state_dict(embedding.state_dict())
    close(embedding(TOKENS), theirs(TOKENS))
    embedding(TOKENS).sum().backward()
    assert embedding.weight.grad[:, 0].tolist() == [2, 1, 0, 0, 0]


def test_dropout_takes_a_token_wherever_it_occurs_in_training_only():
    embedding = Embedding(1000, 2, dropout=0.4)
    tokens = torch.arange(1000).repeat(2, 1)
    y = embedding(tokens)
    close(y[0], y[1])
    gone = (y[0] == 0).all(-1)
    assert 330 < int(gone.sum()) < 470
    close(y[0][~gone], embedding.weight[~gone] / 0.6)
    close(embedding.eval()(tokens)[0], embedding.weight)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        Embedding(3, 2, dropout=1)


def test_tokens_outside_the_vocabulary_are_refused():
    with pytest.raises(IndexError, match=r"in 0..4, got 0..5"):
        Embedding(5, 4)(torch.tensor([5, 0]))


def test_a_tied_readout_scores_with_the_embeddings_vectors():
    embedding = Embedding(5, 4)
    readout = TiedReadout(embedding)
    h = torch.randn(2, 3, 4)
    readout.bias.data.uniform_()
    close(readout(h), h @ embedding.weight.T + readout.bias)
    readout(h).square().sum().backward()
    assert embedding.weight.grad.abs().sum() > 0
    projected = TiedReadout(embedding, 6, bias=False)
    h = torch.randn(2, 3, 6)
    close(projected(h), h @ projected.projection.weight.T @ embedding.weight.T)
    assert projected.bias is None


def test_a_shared_weight_is_counted_saved_and_copied_once():
    embedding = Embedding(5, 4)
    model = nn.ModuleDict({"in": embedding, "out": TiedReadout(embedding, 6)})
    assert list(model.state_dict()) == ["in.weight", "out.bias", "out.projection.weight"]
    twin = copy.deepcopy(model)
    twin["in"].weight.data.zero_()
    h = torch.randn(2, 6)
    assert (twin["out"](h) == 0).all()
    assert (model["out"](h) != 0).any()
    assert model.double()["out"](h.double()).dtype == torch.float64


def test_locked_dropout_of_a_sequence():
    x = torch.ones(50, 3, 40)
    drop = LockedDropout(0.25)
    y = drop(x)
    assert (y == y[0]).all()
    assert not torch.equal(y[0, 0], y[0, 1])
    close(y.unique(), torch.tensor([0, 4 / 3]))
    assert 0.15 < (y == 0).double().mean() < 0.35
    first = LockedDropout(0.25, batch_first=True)(x.transpose(0, 1))
    assert (first == first[:, :1]).all()
    assert not torch.equal(first[0], first[1])
    close(drop.eval()(x), x)
    close(LockedDropout(0.0)(x), x)
    assert LockedDropout(0.5)(x[:0]).shape == (0, 3, 40)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), got 1.5"):
        LockedDropout(1.5)
