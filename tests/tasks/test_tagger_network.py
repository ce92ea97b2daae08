import pytest
import torch
from torch.nn import functional as F

from ostinato.data.streams import IGNORED
from ostinato.tasks.tagger.network import TagBatch, TaggerNetwork
from ostinato.tasks.tagger.settings import TaggerModel

SMALL = {"hidden_size": 6, "embedding_size": 5, "letter_size": 4, "letter_hidden_size": 3}


def network(**settings):
    torch.manual_seed(0)
    counts = torch.tensor([0, 1, 3, 100, 2])
    return TaggerNetwork(counts, 7, 3, TaggerModel(**{**SMALL, **settings})).eval()


def batch():
    # two sentences: words 0 1 2 0, and 2 1
    return TagBatch(
        places=torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0]]),
        lengths=torch.tensor([4, 2]),
        words=torch.tensor([3, 0, 4]),
        letters=torch.tensor([[1, 2, 3], [4, 0, 5]]),
        letter_lengths=torch.tensor([2, 1, 2]),
        tags=torch.tensor([[0, 1], [2, 2], [1, IGNORED], [0, IGNORED]]),
    )


def alone(whole, b):
    length = int(whole.lengths[b])
    return TagBatch(
        whole.places[:length, b : b + 1],
        whole.lengths[b : b + 1],
        whole.words,
        whole.letters,
        whole.letter_lengths,
        whole.tags[:length, b : b + 1],
    )


@pytest.mark.parametrize("crf", [False, True])
def test_a_sentence_in_a_batch_is_as_if_alone(crf):
    net, whole = network(crf=crf), batch()
    scores = net(whole)
    assert scores.shape == (4, 2, 3)
    best = net.best(scores, whole.lengths)
    for b in (0, 1):
        one = alone(whole, b)
        length = len(one.places)
        torch.testing.assert_close(net(one)[:, 0], scores[:length, b])
        assert best[:length, b].tolist() == net.best(net(one), one.lengths)[:, 0].tolist()


def test_the_loss_is_the_mean_over_words():
    net, whole = network(), batch()
    scores = net(whole)
    rows = torch.cat([scores[:4, 0], scores[:2, 1]])
    expected = F.cross_entropy(rows, torch.tensor([0, 2, 1, 0, 1, 2]))
    torch.testing.assert_close(net.loss(scores, whole), expected)


def test_with_the_random_field_it_is_the_likelihood_of_whole_sentences():
    net, whole = network(crf=True), batch()
    scores = net(whole)
    likelihood = net.crf(scores, whole.tags, whole.lengths).sum()
    torch.testing.assert_close(net.loss(scores, whole), -likelihood / 6)


@pytest.mark.parametrize("crf", [False, True])
def test_unseen_tags_have_no_part_in_the_loss(crf):
    net, whole = network(crf=crf), batch()
    scores = net(whole)
    whole.tags[0, 1] = IGNORED
    if crf:
        expected = net.loss(scores[:, :1], alone(whole, 0))
    else:
        rows = torch.cat([scores[:4, 0], scores[1:2, 1]])
        expected = F.cross_entropy(rows, torch.tensor([0, 2, 1, 0, 2]))
    torch.testing.assert_close(net.loss(scores, whole), expected)
    whole.tags[:] = IGNORED
    nothing = net.loss(net(whole), whole)
    nothing.backward()
    assert nothing == 0


def test_rare_words_are_read_as_unknown_more_often():
    net = network(word_dropout=1.0, input_dropout=0.0, letter_hidden_size=0).train()
    seen = []
    net.stack.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    whole = batch()
    whole.places = torch.tensor([[0], [2]])
    whole.lengths = torch.tensor([2])
    for _ in range(300):
        net(whole)
    x = torch.cat(seen, dim=1)
    unknown = (x == net.words.weight[0]).all(dim=-1).float().mean(dim=1)
    # the words occur 100 times and twice: 1 / 101 and 1 / 3
    assert unknown[0] < 0.06
    assert 0.23 < unknown[1] < 0.43
    seen.clear()
    net.eval()(whole)
    torch.testing.assert_close(seen[0][:, 0], net.words.weight[[3, 4]])


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_size": 0},
        {"letter_hidden_size": 0},
        {"letter_size": 6},
        {"letter_hidden_size": 5},
        {"cell": "gru"},
        {"num_layers": 2},
        {"crf": True},
    ],
)
def test_every_setting_changes_the_network(change):
    before, after = network(), network(**change)
    shapes = [{n: p.shape for n, p in net.named_parameters()} for net in (before, after)]
    assert shapes[0] != shapes[1]
    after.loss(after(batch()), batch()).backward()
    assert all(p.grad is not None for p in after.parameters())


@pytest.mark.parametrize("name", ["input_dropout", "output_dropout", "word_dropout"])
def test_dropouts_act_in_training_only(name):
    off = {"input_dropout": 0.0, "output_dropout": 0.0, "word_dropout": 0.0}
    rate = 50.0 if name == "word_dropout" else 0.5
    net, plain = network(**{**off, name: rate}), network(**off)
    torch.testing.assert_close(net(batch()), plain(batch()))
    assert not torch.allclose(net.train()(batch()), plain.train()(batch()))


def test_a_stack_of_options_serves_the_letters_too():
    net = network(num_layers=2, dropout=0.3, locked_dropout=True, residual=True, embedding_size=6)
    assert net(batch()).shape == (4, 2, 3)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="tune_embeddings must be true without embeddings"):
        TaggerModel(tune_embeddings=False)
    with pytest.raises(ValueError, match="embeddings must be none without vectors of words"):
        TaggerModel(embedding_size=0, embeddings="a.txt")
    with pytest.raises(ValueError, match="nothing to read"):
        TaggerModel(embedding_size=0, letter_hidden_size=0)
    with pytest.raises(ValueError, match=r"output_dropout must be in 0..1, 1 excluded, got 1"):
        TaggerModel(output_dropout=1)
