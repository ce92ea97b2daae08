import itertools
import math

import numpy as np
import pytest
import torch

from ostinato.data.subwords import SubwordTokenizer
from ostinato.tasks.language_model import generation
from ostinato.tasks.language_model.generation import Reader
from ostinato.tasks.language_model.scoring import score_corpus

PROMPT = "the cat"


@torch.no_grad()
def log_probability(model, prompt, rest):
    ids = torch.as_tensor(model.tokenizer.encode(prompt + rest)).long()[:, None]
    scores, _ = model.network(ids)
    logs = torch.log_softmax(scores.double(), -1)[:-1, 0]
    return logs.gather(1, ids[1:])[len(prompt) - 1 :].sum().item()


def test_greedy_takes_the_most_probable_token_each_time(model):
    text = PROMPT
    for _ in range(12):
        ids = torch.as_tensor(model.tokenizer.encode(text)).long()[:, None]
        text += model.tokenizer.decode([int(model.network(ids)[0][-1, 0].argmax())])
    assert model.generate(PROMPT, 12, temperature=0) == text


def test_same_seed_same_text_other_seed_other_text(model):
    texts = [model.generate(PROMPT, 40, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    torch.manual_seed(5)
    drawn = [model.generate(PROMPT, 40) for _ in range(2)]
    torch.manual_seed(5)
    assert [model.generate(PROMPT, 40) for _ in range(2)] == drawn
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": 0.3},
        {"top_k": 2},
        {"top_p": 0.3},
        {"repetition_penalty": 3.0},
        {"beam": 3},
    ],
)
def test_each_setting_changes_the_text(model, setting):
    plain = model.generate(PROMPT, 60, seed=0)
    assert model.generate(PROMPT, 60, seed=0, **setting) != plain


def test_repetition_window_changes_the_text(model):
    wide = model.generate(PROMPT, 60, seed=0, repetition_penalty=3.0)
    assert model.generate(PROMPT, 60, seed=0, repetition_penalty=3.0, repetition_window=2) != wide


def test_top_k_of_one_is_greedy(model):
    assert model.generate(PROMPT, 30, top_k=1, seed=3) == model.generate(PROMPT, 30, temperature=0)


def test_streamed_text_is_the_text(model):
    seen = []
    text = model.generate(PROMPT, 30, seed=4, stream=seen.append)
    assert text == PROMPT + "".join(seen)
    assert len(seen) == 30
    assert "".join(model.pieces(PROMPT, 30, seed=4)) == "".join(seen)
    assert model.generate(PROMPT, 30, seed=4, include_prompt=False) == "".join(seen)
    assert model.generate(PROMPT, 30, seed=4) == text


def test_pieces_go_on_without_end_and_stay_in_step(model):
    endless = itertools.islice(model.pieces(PROMPT, seed=4), 500)
    assert "".join(endless) == model.generate(PROMPT, 500, seed=4, include_prompt=False)


def test_prompts_side_by_side_write_what_they_would_alone(model):
    prompts = ["t", "the dog sat on", "a bird"]
    together = model.generate(prompts, 25, temperature=0)
    assert together == [model.generate(prompt, 25, temperature=0) for prompt in prompts]
    drawn = model.generate(prompts, 25, seed=1)
    assert drawn[0] == model.generate(prompts[0], 25, seed=1)
    assert model.generate([], 5) == []


def test_equal_prompts_side_by_side_draw_different_texts(model):
    first, second = model.generate([PROMPT, PROMPT], 40, seed=1)
    assert first != second


def test_long_prompt_is_read_in_blocks_with_the_same_scores(model, monkeypatch, lines):
    prompt = lines * 5
    whole = model.generate(prompt, 20, temperature=0)
    several = model.generate([prompt, "the"], 20, temperature=0)
    monkeypatch.setattr(generation, "_READ", 7)
    longest = []
    outputs = model.network.outputs

    def watched(tokens, *rest, **options):
        longest.append(len(tokens))
        return outputs(tokens, *rest, **options)

    monkeypatch.setattr(model.network, "outputs", watched)
    assert model.generate(prompt, 20, temperature=0) == whole
    assert max(longest) == 7
    assert model.generate([prompt, "the"], 20, temperature=0) == several


def test_each_token_costs_one_step_however_much_came_before(model, monkeypatch):
    steps = []
    step = model.network.step
    monkeypatch.setattr(
        model.network,
        "step",
        lambda tokens, state: steps.append(len(tokens)) or step(tokens, state),
    )
    model.generate(PROMPT, 50, seed=0)
    assert steps == [1] * 49


@pytest.mark.parametrize("length", [1, 2])
def test_wide_beam_finds_the_most_probable_text(model, length):
    symbols = model.tokenizer.symbols
    best = max(
        ("".join(letters) for letters in itertools.product(symbols, repeat=length)),
        key=lambda rest: log_probability(model, PROMPT, rest),
    )
    width = len(symbols) ** max(length - 1, 1)
    assert model.generate(PROMPT, length, beam=width, include_prompt=False) == best


def test_beam_of_more_is_at_least_as_probable_as_greedy(model):
    greedy = model.generate(PROMPT, 12, temperature=0, include_prompt=False)
    found = model.generate(PROMPT, 12, beam=20, include_prompt=False)
    assert log_probability(model, PROMPT, found) >= log_probability(model, PROMPT, greedy)


def force(model, token):
    with torch.no_grad():
        model.network.readout.weight.zero_()
        model.network.readout.bias.zero_()
        model.network.readout.bias[token] = 50.0


def test_text_ends_where_the_model_says_so(ended):
    force(ended, ended.tokenizer.end)
    assert ended.generate("the", 20, seed=0) == "the"
    assert ended.generate(["the", "a"], 20, seed=0) == ["the", "a"]
    assert ended.generate("the", 20, beam=3) == "the"
    assert list(ended.pieces("the", seed=0)) == []


def test_beam_weighs_an_end_against_going_on(ended):
    # an end costs ln 4, going on with "a" the rest
    end, a = ended.tokenizer.end, ended.tokenizer.symbols.index("a")
    force(ended, a)
    with torch.no_grad():
        ended.network.readout.bias[:] = -50.0
        ended.network.readout.bias[a] = math.log(3.0)
        ended.network.readout.bias[end] = 0.0
    # p(end) = 1/4 now; "aaaaa" has (3/4)^5 = 0.237, "aaaa" has 0.316
    assert ended.generate("t", 4, beam=2) == "taaaa"
    assert ended.generate("t", 5, beam=2) == "t"


def test_unknown_is_never_written(words):
    force(words, words.tokenizer.unknown)
    assert "<unk>" not in words.generate("the", 30, seed=0)
    assert "<unk>" not in words.generate("the", 30, beam=2)


def test_words_are_spaced_after_the_prompt_and_lines_go_on(words):
    the = words.tokenizer.encode("cat")[0]
    force(words, the)
    assert words.generate("the", 2, temperature=0) == "the cat cat"
    assert words.generate("the\n", 1, temperature=0) == "the\ncat"
    assert "".join(words.pieces("the", 2, temperature=0)) == " cat cat"
    force(words, words.tokenizer.end)
    assert words.generate("the", 3, temperature=0) == "the\n\n\n"


def test_subwords_split_inside_a_character_are_streamed_whole(make):
    tokenizer = SubwordTokenizer.fit(["été 日本"], size=258, min_count=9)
    model = make(tokenizer)
    pieces = list(model.pieces("été", 200, seed=0))
    assert "".join(pieces) == model.generate("été", 200, seed=0, include_prompt=False)


def test_empty_prompt_begins_a_text(model, ended, make):
    assert model.generate("", 10, seed=0) == model.generate("\n", 10, seed=0)[1:]
    assert isinstance(ended.generate("", 3, seed=0), str)
    from ostinato.data.tokenizers import CharTokenizer

    with pytest.raises(ValueError, match="prompt is empty"):
        make(CharTokenizer("ab")).generate("")


def test_no_length_writes_nothing(model):
    assert model.generate(PROMPT, 0) == PROMPT
    assert model.generate(PROMPT, 0, beam=2) == PROMPT
    assert list(model.pieces(PROMPT, 0)) == []


def test_writing_leaves_the_mode_as_it_was(model):
    model.train()
    model.generate(PROMPT, 3)
    list(model.pieces(PROMPT, 3))
    assert model.training
    assert model.network.training


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("the £", {}, "'£'"),
        (PROMPT, {"length": -1}, "length must be 0 or more"),
        (PROMPT, {"beam": 0}, "beam must be at least 1"),
        (PROMPT, {"beam": 2, "top_k": 3}, "a beam draws nothing"),
        (PROMPT, {"beam": 2, "temperature": 0.5}, "a beam draws nothing"),
        (PROMPT, {"beam": 2, "stream": print}, "stream follows one prompt"),
        ([PROMPT], {"stream": print}, "stream follows one prompt"),
        (PROMPT, {"temperature": -1.0}, "temperature must be"),
    ],
)
def test_what_cannot_be_asked_is_explained(model, prompt, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(prompt, **options)


def test_prompt_must_be_text(model):
    with pytest.raises(TypeError, match="prompt must be text, got int"):
        model.generate([3])


def test_reader_goes_on_from_what_it_has_read(model):
    ids = model.tokenizer.encode("the cat sat on")
    whole, parts = Reader(model.network), Reader(model.network)
    whole.read([ids])
    parts.read([ids[:5]])
    parts.read([ids[5:]])
    torch.testing.assert_close(parts.scores, whole.scores)
    parts.read([np.array([], dtype=np.int32)])
    torch.testing.assert_close(parts.scores, whole.scores)


def test_scoring_is_what_the_scores_say(model, lines):
    from ostinato.data.streams import encode_documents

    corpus = encode_documents(model.tokenizer, [lines])
    score = score_corpus(model.network, corpus)
    assert -score.nats == pytest.approx(log_probability(model, lines[0], lines[1:]), rel=1e-5)
