import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.tasks.language_model.sampling import Drawer, Recent, Sampling

SCORES = torch.tensor([[2.0, 1.0, 0.0, -1.0], [-3.0, 0.5, 4.0, 0.4]])
NONE = torch.zeros(2, 4, dtype=torch.bool)


def test_plain_probabilities_are_the_softmax():
    p = Sampling().probabilities(SCORES, NONE)
    torch.testing.assert_close(p, torch.softmax(SCORES.double(), 1))


def test_temperature_divides_scores_and_zero_is_greedy():
    p = Sampling(temperature=0.5).probabilities(SCORES, NONE)
    torch.testing.assert_close(p, torch.softmax(SCORES.double() / 0.5, 1))
    assert Sampling(temperature=0).probabilities(SCORES, NONE).tolist() == [
        [1, 0, 0, 0],
        [0, 0, 1, 0],
    ]


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_top_k_keeps_k_in_their_proportions(k):
    p = Sampling(top_k=k).probabilities(SCORES, NONE)
    full = torch.softmax(SCORES.double(), 1)
    assert (p > 0).sum(1).tolist() == [min(k, 4)] * 2
    for row in range(2):
        kept = p[row] > 0
        assert full[row][kept].min() >= full[row][~kept].max() if k < 4 else kept.all()
        torch.testing.assert_close(p[row][kept], full[row][kept] / full[row][kept].sum())


@given(st.floats(0.01, 1.0), st.integers(0, 10_000))
def test_top_p_keeps_the_fewest_that_reach_p(share, seed):
    scores = torch.randn(1, 12, generator=torch.Generator().manual_seed(seed)) * 2
    p = Sampling(top_p=share).probabilities(scores, torch.zeros(1, 12, dtype=torch.bool))[0]
    full = torch.softmax(scores.double(), 1)[0]
    kept = full[p > 0]
    assert kept.sum() >= share - 1e-9
    assert kept.sum() - kept.min() < share
    assert p.sum() == pytest.approx(1)


def test_top_p_counts_within_what_top_k_leaves():
    scores = torch.tensor([[0.5, 0.3, 0.1, 0.1]]).log()
    none = torch.zeros(1, 4, dtype=torch.bool)
    assert (Sampling(top_p=0.6).probabilities(scores, none) > 0).sum() == 2
    assert (Sampling(top_p=0.6, top_k=2).probabilities(scores, none) > 0).sum() == 1


def test_repetition_penalty_lowers_recent_tokens_of_either_sign_and_no_others():
    recent = torch.tensor([[True, False, False, True], [False] * 4])
    scores = Sampling(repetition_penalty=2.0).penalised(SCORES, recent)
    assert scores.tolist() == [[1.0, 1.0, 0.0, -2.0], SCORES[1].tolist()]


def test_recent_forgets_what_is_beyond_the_window():
    recent = Recent(5, [[0, 1, 1], [4]], window=2)
    assert recent.mask.tolist() == [[False, True, False, False, False], [False] * 4 + [True]]
    recent.add(torch.tensor([2, 4]))
    assert recent.mask[0].tolist() == [False, True, True, False, False]
    recent.add(torch.tensor([3, 0]))
    assert recent.mask[0].tolist() == [False, False, True, True, False]
    assert recent.mask[1].tolist() == [True, False, False, False, True]
    recent.select(torch.tensor([1, 1]))
    assert recent.mask.tolist() == [[True, False, False, False, True]] * 2


def test_draws_follow_the_probabilities():
    p = torch.tensor([[0.5, 0.0, 0.2, 0.3]], dtype=torch.float64)
    drawer = Drawer(1, seed=0)
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[drawer.draw(p)] += 1
    assert counts[1] == 0
    torch.testing.assert_close(counts / 4000, p[0].float(), atol=0.03, rtol=0)


def test_draws_of_a_row_depend_on_the_seed_and_not_on_other_rows():
    p = torch.full((3, 50), 0.02, dtype=torch.float64)
    alone, beside, other = Drawer(1, 5), Drawer(3, 5), Drawer(1, 6)
    first = [int(alone.draw(p[:1])) for _ in range(20)]
    rows = [beside.draw(p).tolist() for _ in range(20)]
    assert [row[0] for row in rows] == first
    assert [row[1] for row in rows] != first
    assert [int(other.draw(p[:1])) for _ in range(20)] != first
    unseeded = [[int(d.draw(p[:1])) for _ in range(20)] for d in (Drawer(1, None), Drawer(1, None))]
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -1),
        ("temperature", float("nan")),
        ("top_k", 0),
        ("top_p", 0),
        ("top_p", 1.5),
        ("repetition_penalty", 0),
        ("repetition_window", 0),
    ],
)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be"):
        Sampling(**{setting: value})
