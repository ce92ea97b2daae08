import itertools
import zlib

import pytest
import torch

from ostinato.tasks.beam import BeamSettings, beam_search

END, V, S = 0, 4, 3


class Table:
    """A state whose scores depend on all that was written: a stand-in for a network."""

    def __init__(self, sources, lines):
        self.sources, self.lines = sources, lines

    def select(self, rows):
        rows = rows.tolist()
        return Table([self.sources[r] for r in rows], [self.lines[r] for r in rows])


def scores_of(source, line):
    seed = zlib.crc32(repr((source, tuple(line))).encode()) % (2**31)
    return torch.randn(V, generator=torch.Generator().manual_seed(seed)) * 2


def weights_of(source, line):
    seed = zlib.crc32(repr((source, tuple(line), "w")).encode()) % (2**31)
    return torch.rand(S, generator=torch.Generator().manual_seed(seed)).softmax(0)


def step(tokens, state):
    lines = [[*line, token] for line, token in zip(state.lines, tokens.tolist(), strict=True)]
    pairs = list(zip(state.sources, lines, strict=True))
    scores = torch.stack([scores_of(*pair) for pair in pairs])
    weights = torch.stack([weights_of(*pair) for pair in pairs])
    return scores, weights, Table(state.sources, lines)


def searched(sources, longest, **options):
    state = Table(list(sources), [[] for _ in sources])
    longest = [longest] * len(sources) if isinstance(longest, int) else longest
    return beam_search(step, state, start=END, end=END, longest=longest, **options)


def log_p(source, tokens, forbidden=()):
    total, line = 0.0, [END]
    for token in tokens:
        scores = scores_of(source, line)
        scores[list(forbidden)] = -torch.inf
        total += float(scores.double().log_softmax(0)[token])
        line.append(token)
    return total


def all_lines(source, longest, settings, forbidden=()):
    """Every line that ends, by its score."""
    found = []
    for length in range(longest + 1):
        for tokens in itertools.product(range(1, V), repeat=length):
            total = log_p(source, [*tokens, END], forbidden)
            weights = torch.stack(
                [weights_of(source, [END, *tokens[:k]]) for k in range(length + 1)]
            )
            score = total / settings.lp(length + 1)
            if settings.coverage_penalty:
                score += settings.cp(weights)
            found.append((score, tokens))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_a_beam_as_wide_as_all_lines_finds_the_best_of_them(alpha, beta):
    settings = BeamSettings(V**3, alpha, beta)
    for source, found in zip("abc", searched("abc", 3, settings=settings), strict=True):
        ended = [one for one in found if one.ended]
        wanted = all_lines(source, 3, settings)
        assert ended[0].tokens == wanted[0][1]
        assert ended[0].score == pytest.approx(wanted[0][0], abs=1e-5)
        known = {tokens: score for score, tokens in wanted}
        for one in ended:
            assert one.score == pytest.approx(known[one.tokens], abs=1e-5)
            assert one.log_probability == pytest.approx(log_p(source, [*one.tokens, END]), abs=1e-5)


def test_a_beam_of_one_takes_the_most_probable_token_each_time():
    for source, (found,) in zip(
        "abcdef", searched("abcdef", 5, settings=BeamSettings(1)), strict=True
    ):
        line = [END]
        while len(line) <= 6 and (token := int(scores_of(source, line).argmax())) != END:
            line.append(token)
        assert found.tokens == tuple(line[1:6])
        assert found.ended == (len(line) <= 6)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_rows_of_a_batch_do_not_know_of_each_other(width):
    settings = BeamSettings(width, 0.8)
    together = searched("abcdefgh", [2, 7, 3, 0, 5, 1, 6, 4], settings=settings)
    for source, longest, found in zip("abcdefgh", [2, 7, 3, 0, 5, 1, 6, 4], together, strict=True):
        (alone,) = searched(source, longest, settings=settings)
        assert [one.tokens for one in alone] == [one.tokens for one in found]
        assert [one.score for one in alone] == pytest.approx([one.score for one in found])
        assert all(len(one.tokens) <= longest for one in found)


def test_hypotheses_are_distinct_ranked_and_at_most_as_many_as_the_width():
    for found in searched("abcdefgh", 6, settings=BeamSettings(4)):
        assert 1 <= len(found) <= 4
        assert len({(one.tokens, one.ended) for one in found}) == len(found)
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)


def test_weights_belong_to_the_tokens_and_are_cut_to_the_source():
    (found,) = searched("a", 5, settings=BeamSettings(3), source_lengths=[2])
    for one in found:
        assert one.weights.shape == (len(one.tokens) + one.ended, 2)
        for k, row in enumerate(one.weights):
            wanted = weights_of("a", [END, *one.tokens[:k]])[:2]
            torch.testing.assert_close(row, wanted)


def test_forbidden_tokens_are_never_written():
    plain = searched("abcdef", 5, settings=BeamSettings(3))
    assert any(2 in one.tokens for found in plain for one in found)
    without = searched("abcdef", 5, settings=BeamSettings(3), forbidden=[2])
    assert not any(2 in one.tokens for found in without for one in found)
    for source, found in zip("abcdef", without, strict=True):
        one = found[0]
        tokens = [*one.tokens, END] if one.ended else one.tokens
        assert one.log_probability == pytest.approx(log_p(source, tokens, [2]), abs=1e-5)


def test_the_length_penalty_favours_longer_lines():
    def mean_length(alpha):
        found = searched([f"{k}" for k in range(40)], 6, settings=BeamSettings(6, alpha))
        return sum(len(hypotheses[0].tokens) for hypotheses in found)

    assert mean_length(0.0) < mean_length(1.0) < mean_length(3.0)


def test_the_coverage_penalty_changes_the_choice():
    names = [f"{k}" for k in range(40)]
    plain = searched(names, 4, settings=BeamSettings(6, 0.5))
    covered = searched(names, 4, settings=BeamSettings(6, 0.5, 2.0))
    assert [f[0].tokens for f in plain] != [f[0].tokens for f in covered]

    def cover(found):
        return sum(float(f[0].weights.sum(0).clamp(max=1).log().sum()) for f in found)

    assert cover(covered) > cover(plain)


def test_the_penalties_are_those_of_the_paper():
    settings = BeamSettings(1, 0.6, 0.2)
    assert settings.lp(13) == pytest.approx((5 + 13) ** 0.6 / (5 + 1) ** 0.6)
    weights = torch.tensor([[0.7, 0.3, 0.0], [0.6, 0.1, 0.3]])
    wanted = 0.2 * torch.tensor([1.0, 0.4, 0.3]).log().sum()
    assert settings.cp(weights) == pytest.approx(float(wanted))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more"),
        ({"coverage_penalty": -0.1}, "coverage_penalty must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BeamSettings(**options)
