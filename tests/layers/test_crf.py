import itertools

import pytest
import torch

from ostinato.layers.crf import CRF

K = 3


@pytest.fixture
def crf():
    torch.manual_seed(0)
    crf = CRF(K).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def scores(T, B):
    return torch.randn(T, B, K, dtype=torch.float64)


def every_row(crf, scores):
    """Each row of tags with its score, from the definition."""
    found = {}
    for tags in itertools.product(range(K), repeat=len(scores)):
        total = crf.first[tags[0]] + crf.last[tags[-1]]
        total = total + sum(scores[t, tag] for t, tag in enumerate(tags))
        total = total + sum(crf.following[a, b] for a, b in itertools.pairwise(tags))
        found[tags] = total
    return found


@pytest.mark.parametrize("T", [1, 2, 5])
def test_likelihood_and_best_row_are_those_of_all_rows_listed(crf, T):
    e = scores(T, 1)
    rows = every_row(crf, e[:, 0])
    whole = torch.logsumexp(torch.stack(list(rows.values())), dim=0)
    for tags in itertools.islice(rows, 0, None, 7):
        found = crf(e, torch.tensor(tags)[:, None])
        torch.testing.assert_close(found, (rows[tags] - whole)[None])
    assert crf.decode(e)[:, 0].tolist() == list(max(rows, key=rows.get))


def test_rows_of_different_lengths_are_as_if_alone(crf):
    lengths = [4, 1, 0, 6]
    e, tags = scores(6, 4), torch.randint(K, (6, 4))
    # what stands behind the end counts for nothing, not even if it is no number or no tag
    for b, length in enumerate(lengths):
        e[length:, b] = torch.nan
        tags[length:, b] = -100
    found, best = crf(e, tags, lengths), crf.decode(e, lengths)
    for b, length in enumerate(lengths):
        if length:
            alone = e[:length, b : b + 1]
            torch.testing.assert_close(found[b : b + 1], crf(alone, tags[:length, b : b + 1]))
            assert best[:length, b].tolist() == crf.decode(alone)[:, 0].tolist()
        assert not best[length:, b].any()
    assert found[2] == 0


def test_probabilities_of_all_rows_sum_to_one(crf):
    e = scores(4, 1)
    rows = torch.tensor(list(itertools.product(range(K), repeat=4))).T
    total = crf(e.expand(-1, rows.shape[1], -1), rows).exp().sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))


def test_gradients(crf):
    e, tags = scores(4, 3).requires_grad_(), torch.randint(K, (4, 3))
    parameters = list(crf.parameters())

    def likelihood(e, *values):
        named = dict(zip([n for n, _ in crf.named_parameters()], values, strict=True))
        return torch.func.functional_call(crf, named, (e, tags, [4, 2, 1]))

    assert torch.autograd.gradcheck(likelihood, (e, *parameters))


def test_padding_reaches_no_gradient(crf):
    e = scores(5, 2)
    e[3:, 1] = torch.nan
    e.requires_grad_()
    crf(e, torch.zeros(5, 2, dtype=torch.int64), [5, 3]).sum().backward()
    assert not e.grad[3:, 1].any()
    assert all(p.grad.isfinite().all() for p in crf.parameters())


def test_no_steps_at_all(crf):
    nothing = torch.zeros(0, 2, dtype=torch.int64)
    assert crf(scores(0, 2), nothing).tolist() == [0, 0]
    assert crf.decode(scores(0, 2)).shape == (0, 2)


def test_wrong_shapes_are_refused(crf):
    with pytest.raises(ValueError, match=r"scores must be \[time, batch, 3\], got \[2, 1, 4\]"):
        crf.decode(torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match=r"tags must be \[2, 1\]"):
        crf(scores(2, 1), torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"CRF: lengths must be in 0..2"):
        crf(scores(2, 1), torch.zeros(2, 1, dtype=torch.int64), [3])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        CRF(0)
