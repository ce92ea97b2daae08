import pytest
import torch

from ostinato.tasks.classifier.network import ClassifierNetwork, Inputs, LabelBatch
from ostinato.tasks.classifier.settings import ClassifierModel, ClassifierSettings

NONE = torch.zeros(0, dtype=torch.int64)
LENGTHS = torch.tensor([6, 3, 1])


def numbers(labels=NONE):
    torch.manual_seed(1)
    return LabelBatch(torch.randn(6, 3, 4), LENGTHS, labels, NONE, NONE, NONE)


def tokens():
    torch.manual_seed(1)
    return LabelBatch(torch.randint(0, 9, (6, 3)), LENGTHS, NONE, NONE, NONE, NONE)


def make(inputs, *, several=False, **settings):
    torch.manual_seed(0)
    model = ClassifierModel(**{"hidden_size": 5, "embedding_size": 4, **settings})
    return ClassifierNetwork(inputs, 3, model, several=several).eval()


KINDS = {
    "numbers": (Inputs(width=4), numbers),
    "tokens": (Inputs(tokens=9), tokens),
}


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention", "mean+max"])
@pytest.mark.parametrize("cell", ["lstm", "elman", None])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_scores_alone_what_it_scores_among_others(kind, cell, pooling):
    inputs, batch = KINDS[kind]
    network = make(inputs, cell=cell, pooling=pooling)
    together = network(batch())
    assert together.shape == (1, 3, 3)
    for b, length in enumerate(LENGTHS):
        x = batch().x[:length, b : b + 1]
        alone = network(LabelBatch(x, length[None], NONE, NONE, NONE, NONE))
        assert torch.allclose(together[:, b], alone[:, 0], atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", None])
def test_tokens_may_enter_as_if_one_hot(cell):
    network = make(Inputs(tokens=9), embedding_size=0, cell=cell)
    batch = tokens()
    as_numbers = make(Inputs(width=9), cell=cell)
    as_numbers.members.load_state_dict(network.members.state_dict())
    x = torch.nn.functional.one_hot(batch.x, 9).float()
    expected = as_numbers(LabelBatch(x, LENGTHS, NONE, NONE, NONE, NONE))
    assert torch.allclose(network(batch), expected, atol=1e-6)


def test_without_a_cell_rows_of_one_length_are_read_whole():
    network = make(Inputs(width=4, steps=6), cell=None)
    batch = numbers()
    batch.lengths = torch.tensor([6, 6, 6])
    swapped = LabelBatch(batch.x.flip(0), batch.lengths, NONE, NONE, NONE, NONE)
    # the mean of the steps could not tell them apart
    assert not torch.allclose(network(batch), network(swapped))


def test_numbers_are_scaled():
    network = make(Inputs(width=4))
    scaled = make(Inputs(width=4))
    scaled.mean.fill_(3.0)
    scaled.deviation.fill_(2.0)
    batch = numbers()
    moved = numbers()
    moved.x = moved.x * 2 + 3
    assert torch.allclose(network(batch), scaled(moved), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "mean"},
        {"bidirectional": False},
        {"num_layers": 2},
        {"cell": "gru"},
        {"cell": None},
        {"members": 2},
        {"hidden_size": 6},
    ],
)
def test_every_choice_changes_what_is_said(change):
    batch = tokens()
    plain, other = make(Inputs(tokens=9)), make(Inputs(tokens=9), **change)
    assert not torch.equal(plain.probabilities(plain(batch)), other.probabilities(other(batch)))


@pytest.mark.parametrize("name", ["token_dropout", "input_dropout", "output_dropout"])
@pytest.mark.parametrize("size", [0, 4])
@pytest.mark.parametrize("cell", ["lstm", None])
def test_dropouts_act_in_training_only(name, size, cell):
    batch = tokens()
    rates = {"token_dropout": 0.0, "input_dropout": 0.0, "output_dropout": 0.0, name: 0.5}
    network = make(Inputs(tokens=9), embedding_size=size, cell=cell, hidden_size=16, **rates)
    before = network(batch)
    assert torch.equal(before, network(batch))
    network.train()
    assert not torch.allclose(before, network(batch))


def test_members_begin_differently_and_are_averaged():
    network = make(Inputs(width=4), members=3)
    scores = network(numbers())
    assert scores.shape == (3, 3, 3)
    assert not torch.allclose(scores[0], scores[1])
    expected = sum(one.softmax(-1) for one in scores) / 3
    assert torch.allclose(network.probabilities(scores), expected)


def test_the_loss_is_the_mean_over_members_rows_and_weights():
    network = make(Inputs(width=4), members=2)
    batch = numbers(torch.tensor([0, 2, 1]))
    scores = network(batch)
    logs = scores.log_softmax(-1)
    picked = torch.stack([logs[:, b, k] for b, k in enumerate([0, 2, 1])], dim=1)
    assert torch.allclose(network.loss(scores, batch), -picked.mean())
    network.weights.copy_(torch.tensor([1.0, 5.0, 2.0]))
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = -(picked * weights).sum() / (2 * weights.sum())
    assert torch.allclose(network.loss(scores, batch), expected)


def test_several_labels_are_judged_one_by_one():
    network = make(Inputs(width=4), several=True)
    asked = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]])
    batch = numbers(asked)
    scores = network(batch)
    p = scores[0].sigmoid()
    assert torch.allclose(network.probabilities(scores), p)
    expected = -(asked * p.log() + (1 - asked) * (1 - p).log()).mean()
    assert torch.allclose(network.loss(scores, batch), expected)


@pytest.mark.parametrize("several", [False, True])
def test_smoothing_acts_in_training_only(several):
    asked = torch.eye(3) if several else torch.tensor([0, 1, 2])
    batch = numbers(asked)
    plain = make(Inputs(width=4), several=several)
    smooth = make(Inputs(width=4), several=several, label_smoothing=0.2)
    scores = plain(batch) * 20
    assert torch.equal(plain.loss(scores, batch), smooth.loss(scores, batch))
    assert smooth.train().loss(scores, batch) > plain.train().loss(scores, batch)


def test_words_with_ngrams_are_read_once_each():
    network = make(Inputs(tokens=9), ngrams=20)
    grams, offsets = torch.tensor([3, 4, 4]), torch.tensor([0, 2, 3])
    places = torch.tensor([[0, 1], [1, 1]])
    batch = LabelBatch(places, torch.tensor([2, 2]), NONE, torch.tensor([5, 1]), grams, offsets)
    entry = network.members[0].entry
    table = entry.embedding.weight
    ngrams = entry.ngrams.weight
    first = table[5] + (ngrams[3] + ngrams[4]) / 2
    second = table[1] + ngrams[4]
    assert torch.allclose(entry(batch)[0, 0], first)
    assert torch.allclose(entry(batch)[1], torch.stack([second, second]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "median"}, "there is no 'median'"),
        ({"members": 0}, "members must be at least 1"),
        ({"class_weights": "rare"}, "class_weights must be one of equal, balanced"),
        ({"output_dropout": 1.0}, "output_dropout must be in 0..1"),
        ({"ngrams": 9, "embedding_size": 0}, "ngrams must be 0 without an embedding"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make(Inputs(width=4), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": 0.6, "validation": 0.4}, "below 1, or nothing is left"),
        ({"fill": "mean"}, "fill must be one of no, zero, forward"),
        ({"tokens": "letters"}, "tokens must be one of characters, words, subwords"),
        ({"id": "n"}, "id must be left out, or values named, too"),
        ({"time": "t", "values": ["x"]}, "time must be given with id"),
        ({"width": 2}, "width must be 1, unless values are given"),
        ({"ngrams": 9, "tokens": "characters"}, "ngrams must be 0, unless texts are cut into wor"),
        ({"width": 0}, "width must be at least 1"),
    ],
)
def test_data_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ClassifierSettings().changed(**settings)
