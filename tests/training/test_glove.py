import numpy as np
import pytest

from ostinato.training import glove as module
from ostinato.training.glove import CoOccurrences, count_pairs, glove


def by_hand(documents, size, window):
    counts = np.zeros((size, size))
    for document in documents:
        for t, left in enumerate(document):
            for d in range(1, window + 1):
                if t + d < len(document):
                    counts[left, document[t + d]] += 1 / d
                    counts[document[t + d], left] += 1 / d
    return counts


@pytest.mark.parametrize("chunk", [1, 4_000_000])
def test_pairs_are_counted_by_their_distance_within_documents(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    draws = np.random.default_rng(0)
    documents = [draws.integers(0, 6, n) for n in (0, 1, 5, 30)]
    pairs = count_pairs(documents, 6, window=4)
    counts = np.zeros((6, 6))
    counts[pairs.rows, pairs.columns] = pairs.counts
    np.testing.assert_allclose(counts, by_hand(documents, 6, 4), rtol=1e-6)


def test_what_is_skipped_keeps_its_place():
    pairs = count_pairs([[1, 0, 2]], 3, skip=0)
    assert list(zip(pairs.rows, pairs.columns, pairs.counts, strict=True)) == [
        (1, 2, 0.5),
        (2, 1, 0.5),
    ]


def test_the_objective_falls_to_what_the_best_fit_has():
    # counts that vectors of width 2 can give exactly: ln X_ij = w_i . v_j + a_i + b_j
    draws = np.random.default_rng(0)
    w, v, a, b = (draws.normal(size=s) for s in ((8, 2), (8, 2), (8, 1), (1, 8)))
    exact = np.exp(w @ v.T + a + b + 2)
    rows, columns = np.nonzero(exact)
    pairs = CoOccurrences(rows, columns, exact[rows, columns].astype(np.float32), 8)
    losses = []
    vectors = glove(
        pairs,
        dimensions=2,
        epochs=600,
        lr=0.3,
        batch_size=8,
        watch=lambda _, loss: losses.append(loss),
    )
    assert vectors.shape == (8, 2)
    assert losses[-1] < 1e-3 * losses[0]


def test_weights_follow_the_papers_function():
    # one entry: the first step's loss is f(X) (w . w~ + b + b~ - ln X)^2
    def first_loss(count, **options):
        losses = []
        pairs = CoOccurrences(np.array([0]), np.array([1]), np.array([count], np.float32), 2)
        glove(pairs, dimensions=2, epochs=1, watch=lambda _, loss: losses.append(loss), **options)
        return losses[0]

    small = first_loss(10.0, x_max=100, alpha=0.75) / first_loss(10.0, x_max=1)
    assert small == pytest.approx(0.1**0.75, rel=1e-5)
    assert first_loss(500.0, x_max=100) == first_loss(500.0, x_max=50)


def test_words_in_the_same_places_come_together():
    # 0 and 1 stand by 4 and seldom by 5, 2 and 3 the other way round
    counts = np.zeros((6, 6))
    counts[[0, 1, 2, 3], [4, 4, 5, 5]] = 50
    counts[[0, 1, 2, 3], [5, 5, 4, 4]] = 1
    counts += counts.T
    rows, columns = np.nonzero(counts)
    pairs = CoOccurrences(rows, columns, counts[rows, columns].astype(np.float32), 6)
    vectors = glove(pairs, dimensions=8, epochs=300)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert cosines[0, 1] > cosines[0, 2] + 0.2
    assert cosines[2, 3] > cosines[2, 0] + 0.2


def test_seed_settles_the_vectors():
    pairs = count_pairs([[0, 1, 2, 1, 0]], 3)
    assert (glove(pairs, epochs=2, seed=1) == glove(pairs, epochs=2, seed=1)).all()
    assert (glove(pairs, epochs=2, seed=1) != glove(pairs, epochs=2, seed=2)).any()


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="window must be at least 1"):
        count_pairs([[0, 1]], 2, window=0)
    with pytest.raises(ValueError, match="no two words"):
        count_pairs([[0], [1]], 2)
    with pytest.raises(ValueError, match="dimensions must be at least 1, got 0"):
        glove(count_pairs([[0, 1]], 2), dimensions=0)
