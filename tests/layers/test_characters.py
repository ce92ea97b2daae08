import pytest
import torch

from ostinato import GRU, LSTM, Recurrent, cells
from ostinato.layers.characters import CharacterFeatures

WORDS = torch.tensor([[1, 2, 3, 4], [5, 0, 0, 0], [3, 1, 0, 0]]).T
LENGTHS = [4, 1, 2]


def test_it_is_the_last_state_of_each_direction():
    torch.manual_seed(0)
    stack = LSTM(3, 4, bidirectional=True)
    features = CharacterFeatures(6, 3, stack)
    found = features(WORDS, LENGTHS)
    for w, length in enumerate(LENGTHS):
        _, (h, _) = stack(features.embedding(WORDS[:length, w : w + 1]))
        torch.testing.assert_close(found[w], torch.cat([h[0, 0], h[1, 0]]))


def test_one_direction_and_equal_lengths():
    torch.manual_seed(0)
    features = CharacterFeatures(6, 3, GRU(3, 4))
    found = features(WORDS[:2], [2, 2, 2])
    assert torch.equal(found, features.stack(features.embedding(WORDS[:2]))[0][-1])


def test_any_cell_will_do_and_learns():
    features = CharacterFeatures(6, 3, Recurrent(cells.LeakyRNN(3, 4), bidirectional=True))
    features(WORDS, LENGTHS).sum().backward()
    assert features.embedding.weight.grad[1:].any(dim=1).all()
    # the letter that stands in padding only
    assert not features.embedding.weight.grad[0].any()


def test_no_letters_give_zeros():
    features = CharacterFeatures(6, 3, LSTM(3, 4, bidirectional=True))
    assert not features(WORDS, [4, 0, 2])[1].any()
    assert not features(WORDS[:0], [0, 0, 0]).any()


def test_a_stack_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"\[time, words, 3\], got one for input_size=5"):
        CharacterFeatures(6, 3, LSTM(5, 4))
    with pytest.raises(ValueError, match="batch_first=True"):
        CharacterFeatures(6, 3, LSTM(3, 4, batch_first=True))
