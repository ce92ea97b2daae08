"""What every task refuses among its settings, in the same words."""

import pytest

from ostinato.tasks.registry import TASKS, settings_class

KINDS = sorted(TASKS)
SHARED = KINDS.copy()
SHARED.remove("forecaster")  # its parts may be dates and numbers of rows
EMBEDS = ["classifier", "language_model", "tagger", "translator"]
TEXTS = ["captioner", "classifier", "language_model", "translator"]


def refused(task, message, **settings):
    with pytest.raises(ValueError, match=message):
        settings_class(task)().changed(**settings)


@pytest.mark.parametrize("task", SHARED)
def test_something_is_left_to_train_on(task):
    refused(task, r"held_out \+ validation must be below 1", held_out=0.5, validation=0.5)
    refused(task, "validation must be in 0..1, 1 excluded, got 1", validation=1)
    settings_class(task)().changed(held_out=0.5, validation=0.4)


@pytest.mark.parametrize("task", KINDS)
def test_numbers_below_their_least_are_named(task):
    refused(task, "batch_size must be at least 1, got 0", batch_size=0)
    refused(task, "num_layers must be at least 1, got 0", num_layers=0)
    refused(task, "initialise_gain must be 0 or more", initialise="zeros", initialise_gain=-1.0)


@pytest.mark.parametrize("task", TEXTS)
@pytest.mark.parametrize("name", ["vocabulary_size", "min_count"])
def test_a_vocabulary_has_an_entry_at_least(task, name):
    refused(task, f"{name} must be at least 1, got 0", **{name: 0})


@pytest.mark.parametrize("task", TEXTS)
def test_options_of_words_are_refused_where_steps_are_no_words(task):
    usual = settings_class(task)().data.lower
    message = "lower must be left alone: it is for tokens='words', not 'characters'"
    refused(task, message, tokens="characters", lower=not usual)
    refused(task, "split must be left alone", tokens="subwords", split="blanks")
    refused(task, "split must be one of punctuation, blanks", tokens="words", split="letters")
    refused(task, "tokens must be one of characters, words, subwords", tokens="bytes")
    words = settings_class(task)().changed(tokens="words", lower=not usual, split="blanks")
    assert (words.data.lower, words.data.split) == (not usual, "blanks")


@pytest.mark.parametrize("task", EMBEDS)
def test_vectors_that_stay_need_a_file(task):
    refused(task, "tune_embeddings must be true without embeddings", tune_embeddings=False)


@pytest.mark.parametrize("task", ["classifier", "language_model", "tagger"])
def test_vectors_of_a_file_need_a_place(task):
    message = "embeddings must be none without vectors of words"
    refused(task, message, embeddings="v.txt", embedding_size=0)


def test_options_of_texts_are_refused_where_numbers_are_read():
    refused(
        "classifier", "min_count must be left alone: it is for texts", values=["a"], min_count=2
    )
    refused("classifier", "tokens must be left alone", values=["a"], tokens="characters")


def test_decay_of_true_tokens_has_a_rate():
    refused("translator", "sampling_rate must be above 0, got 0", sampling_rate=0.0)
