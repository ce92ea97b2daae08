from itertools import pairwise

import torch

from ostinato.layers.ngrams import NgramEmbedding, ngram_buckets


def test_all_ngrams_of_three_to_six_characters_with_marks_at_the_ends():
    grams, offsets = ngram_buckets(["where"], 10**9)
    # <wh whe her ere re>, <whe wher here ere>, <wher where here>, <where where>
    assert len(grams) == len(set(grams.tolist())) == 5 + 4 + 3 + 2
    assert offsets.tolist() == [0, 14]


def test_words_that_share_letters_share_ngrams():
    grams, offsets = ngram_buckets(["funny", "unfunny", "dull"], 10**9)
    funny, unfunny, dull = (set(grams[a:b]) for a, b in pairwise(offsets))
    assert len(funny & unfunny) >= 9
    assert not funny & dull


def test_characters_outside_ascii_count_as_one():
    plain, _ = ngram_buckets(["naive"], 10**9)
    accented, _ = ngram_buckets(["naïve"], 10**9)
    assert len(plain) == len(accented)


def test_a_vector_is_the_mean_of_its_ngrams_and_gradients_reach_them():
    torch.manual_seed(0)
    layer = NgramEmbedding(20, 3)
    grams, offsets = ngram_buckets(["funny", "x", ""], 20)
    numbers = torch.from_numpy(grams)
    vectors = layer(numbers, offsets)
    assert torch.allclose(vectors[0], layer.weight[numbers[: offsets[1]]].mean(0))
    # "<>" is too short for any
    assert torch.equal(vectors[2], torch.zeros(3))
    vectors[0].sum().backward()
    assert (layer.weight.grad[numbers[: offsets[1]]] > 0).all()
