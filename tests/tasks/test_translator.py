import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import ostinato
from ostinato.data.batches import padding_share
from ostinato.data.pairs import PairError
from ostinato.tasks.beam import Hypothesis
from ostinato.tasks.translator.fitting import batch_of, pair_batches
from ostinato.tasks.translator.settings import PairSettings, TranslatorSettings
from ostinato.tasks.translator.task import Translator
from ostinato.tasks.translator.tokens import Vocabularies
from ostinato.training import RunError

ENGLISH = ("one", "two", "three", "four", "five")
GERMAN = dict(zip(ENGLISH, ("eins", "zwei", "drei", "vier", "fünf"), strict=True))
# read from behind, and in German
PAIRS = [
    (" ".join(line), " ".join(GERMAN[word] for word in reversed(line)))
    for line in itertools.product(ENGLISH[:3], repeat=4)
]
TINY = {
    "tokens": "words",
    "hidden_size": 12,
    "embedding_size": 10,
    "embedding_dropout": 0.0,
    "output_dropout": 0.0,
    "label_smoothing": 0.0,
    "lr": 0.03,
    "warmup_steps": 0,
    "batch_size": 16,
    "ema": None,
    "device": "cpu",
}


def fitted(pairs=PAIRS, **settings):
    options = {"progress": False, **TINY, **settings}
    return Translator.fit(pairs, **options)


@pytest.fixture(scope="module")
def reverser():
    with ostinato.engine("eager"):
        return fitted(PAIRS * 2, hidden_size=24, embedding_size=16, epochs=25)


def test_it_learns_to_translate_and_says_how_well(reverser):
    assert reverser.predict("one two three one") == "eins drei zwei eins"
    assert reverser.predict(["three one one one", "", "two two one three"]) == [
        "eins eins eins drei",
        "",
        "drei eins zwei zwei",
    ]
    score = reverser.evaluate(PAIRS)
    assert score.bleu > 95
    assert score.lines == 81
    assert score.nats_per_token < 0.2
    held_out = reverser.figures["held_out"]
    assert held_out["bleu"] > 95
    assert "tok:13a" in held_out["signature"]
    assert reverser.figures["baselines"]["copied_source"] < 10
    assert reverser.figures["training"]["best_step"] > 0


def test_translations_bring_pieces_weights_and_the_next_best(reverser):
    ((best, *others),) = reverser.translate(["one two three one"], beam=3)
    assert best.source_pieces == ("one", "two", "three", "one", "end")
    assert best.pieces == ("eins", "drei", "zwei", "eins")
    assert best.weights.shape == (4, 5)
    np.testing.assert_allclose(best.weights.sum(1), 1, atol=1e-5)
    assert len(others) == 2
    assert best.score >= others[0].score >= others[1].score
    assert best.text not in {one.text for one in others}
    assert json.loads(json.dumps(best.to_dict()))["text"] == "eins drei zwei eins"


def test_lines_are_translated_as_they_come_in_the_order_given(reverser):
    lines = [" ".join(ENGLISH[: 1 + k % 3]) for k in range(2000)]
    taken = []
    found = reverser.translate((taken.append(line) or line for line in lines), beam=1)
    next(found)
    assert len(taken) < len(lines)
    alone = {line: reverser.predict(line, beam=1) for line in set(lines)}
    assert [one[0].text for one in found] == [alone[line] for line in lines[1:]]


def test_options_of_predict_act(reverser):
    lines = ["one two three four one two", "three"]
    plain = reverser.predict(lines)
    assert reverser.predict(lines, max_length=2) != plain
    assert all(len(text.split()) <= 2 for text in reverser.predict(lines, max_length=2))
    many = [next(reverser.translate(lines, beam=4, length_penalty=p)) for p in (0.0, 4.0)]
    assert [one.score for one in many[0]] != [one.score for one in many[1]]
    covered = next(reverser.translate(lines, beam=4, coverage_penalty=1.0))
    assert covered[0].score != next(reverser.translate(lines, beam=4))[0].score
    for options, message in (
        ({"beam": 0}, "width must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"max_length": 0}, "max_length must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            reverser.predict(lines, **options)


def test_an_unknown_word_is_copied_from_where_attention_looks():
    model = fitted(joint=False, vocabulary_size=4, max_steps=1, baselines=False)
    both = model.vocabularies
    known = both.target.words[2]
    unknown, number = both.target.unknown, both.target.words.index(known)
    # the weight of the end is the highest at first, and the end is no word
    weights = torch.tensor([[0.1, 0.3, 0.0, 0.6], [1.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.7, 0.1]])
    one = Hypothesis((unknown, number, unknown), -1.0, -2.0, True, weights)
    made = model._translation("hello Ada one", one)
    assert made.text == f"Ada {known} one"
    assert made.pieces == ("Ada", known, "one")
    assert model._translation("hello Ada one", replace(one, weights=None)).text.count("<unk>") == 2


def test_unknown_words_are_written_only_where_they_are_copied():
    names = [f"name{k}" for k in range(60)]
    pairs = [(f"hello {name} one", f"{name} hallo eins") for name in names]
    settings = {"vocabulary_size": 4, "epochs": 8, "held_out": 0.0, "validation": 0.0}
    model = fitted(pairs, joint=False, baselines=False, **settings)
    copied = model.predict("hello Ada one")
    assert copied.split()[0] in ("hello", "Ada", "one")
    assert copied.split()[1:] == ["hallo", "eins"]
    without = model.predict("hello Ada one", copy_unknown=False)
    assert set(without.split()) <= {"hallo", "eins"}


def test_without_attention_no_unknown_word_is_written_and_no_coverage_asked():
    model = fitted(attention=None, vocabulary_size=5, max_steps=20, baselines=False)
    assert model.vocabularies.target.size == 5
    assert "<unk>" not in model.predict("one two five", beam=5)
    assert next(model.translate(["one two"]))[0].weights is None
    with pytest.raises(ValueError, match="needs attention, and this model has none"):
        model.predict("one", coverage_penalty=0.1)


@pytest.mark.parametrize("tokens", ["subwords", "characters"])
@pytest.mark.parametrize("joint", [True, False])
def test_tokens_of_any_kind_one_vocabulary_or_two(tmp_path, tokens, joint):
    size = {"vocabulary_size": 280} if tokens == "subwords" else {}
    model = fitted(tokens=tokens, joint=joint, max_steps=2, baselines=False, **size)
    assert model.vocabularies.joint == joint
    model.save(tmp_path / "run")
    again = ostinato.load(tmp_path / "run")
    lines = ["one two", "three"]
    assert again.predict(lines) == model.predict(lines)
    names = {"tokenizer.json"} if joint else {"source_tokenizer.json", "target_tokenizer.json"}
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {"config.json", "model.safetensors", *names}
    assert again.vocabularies.joint == joint


def test_it_is_saved_loaded_and_resumed_bit_for_bit(tmp_path):
    once = fitted(out=tmp_path / "once", epochs=4, dropout=0.3, num_layers=2, baselines=False)
    fitted(out=tmp_path / "twice", epochs=2, schedule="constant", dropout=0.3, num_layers=2)
    whole = fitted(epochs=4, schedule="constant", dropout=0.3, num_layers=2, baselines=False)
    resumed = Translator.fit(PAIRS, out=tmp_path / "twice", resume=True, epochs=4, progress=False)
    for name, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name
    again = Translator.load(tmp_path / "once")
    assert again.figures == json.loads(json.dumps(once.figures))
    assert again.predict("one two") == once.predict("one two")
    with pytest.raises(RunError, match="begun on other data"):
        Translator.fit(PAIRS[1:], out=tmp_path / "twice", resume=True, progress=False)


def test_parts_are_given_or_taken_from_the_end(tmp_path):
    apart = fitted(PAIRS[:40], validation=PAIRS[40:50], test=PAIRS[50:], max_steps=1)
    assert apart.figures["held_out"]["lines"] == 31
    shares = fitted(PAIRS, held_out=0.25, validation=0.1, max_steps=1, baselines=False)
    assert shares.figures["held_out"]["lines"] == 20
    assert "baselines" not in shares.figures
    whole = fitted(PAIRS, held_out=0.0, validation=0.0, max_steps=1)
    assert "held_out" not in whole.figures
    assert whole.figures["training"]["best"] is None


def test_files_are_fitted_and_scored(tmp_path):
    for side, name in enumerate(("a.en", "a.de")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    files = [tmp_path / "a.en", tmp_path / "a.de"]
    model = fitted(files, max_steps=2)
    assert model.figures["data"] == fitted(PAIRS, max_steps=2).figures["data"]
    assert model.evaluate(files).lines == 81
    (tmp_path / "a.de").write_text("eins\n")
    with pytest.raises(PairError, match=r"a.de ends after line 1"):
        fitted(files)


def test_half_empty_pairs_are_an_error_or_left_out():
    broken = [*PAIRS, ("one", "")]
    with pytest.raises(PairError, match="Pair 82: the target is empty"):
        fitted(broken)
    assert fitted(broken, skip_empty=True, max_steps=1).figures["held_out"]["lines"] == 4


def test_long_pairs_are_not_trained_on():
    both = Vocabularies.fit(lambda: PAIRS, PairSettings(tokens="words"))
    long = [*PAIRS, (" ".join(["one"] * 20), "eins")]
    short = PairSettings(max_length=19, batch_size=8)
    assert len(pair_batches(both, long, short).lengths) == 81
    assert len(pair_batches(both, long, short, limit=False).lengths) == 82
    assert len(pair_batches(both, long, PairSettings(max_length=20)).lengths) == 82
    with pytest.raises(PairError, match="at most 2 tokens"):
        pair_batches(both, long, PairSettings(max_length=2))


def test_batches_keep_to_their_sizes_with_little_padding():
    draws = np.random.default_rng(0)
    pairs = [
        (" ".join(draws.choice(ENGLISH, n)), " ".join(draws.choice(list(GERMAN.values()), m)))
        for n, m in zip(draws.integers(1, 30, 3000), draws.integers(1, 30, 3000), strict=True)
    ]
    both = Vocabularies.fit(lambda: pairs, PairSettings(tokens="words"))
    settings = PairSettings(batch_size=32, batch_tokens=400)
    batches = pair_batches(both, pairs, settings, shuffle=True)
    for batch in batches.epoch(0):
        assert batch.targets.numel() <= 400
        assert batch.targets.shape[1] <= 32
    assert padding_share(batches) < 0.1


def test_a_batch_reads_the_end_first_and_says_it_last():
    batch = batch_of([[5, 6, 1], [7, 1]], [[3, 1], [4, 8, 1]], end=1)
    assert batch.source.tolist() == [[5, 7], [6, 1], [1, 0]]
    assert batch.source_lengths.tolist() == [3, 2]
    assert batch.inputs.tolist() == [[1, 1], [3, 4], [1, 8]]
    assert batch.targets.tolist() == [[3, 4], [1, 8], [1, 1]]
    assert batch.lengths.tolist() == [2, 3]


def one_step(**settings):
    model = fitted(max_steps=3, validation=0.0, held_out=0.0, **settings)
    return torch.cat([weight.flatten() for weight in model.state_dict().values()])


@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 0.1},
        {"embedding_dropout": 0.2},
        {"output_dropout": 0.2},
        {"batch_size": 8},
        {"batch_tokens": 20},
        {"sampling": "linear", "sampling_rate": 1.0},
        {"sampling": "exponential", "sampling_rate": 1.5},
        {"sampling": "sigmoid", "sampling_rate": 0.1},
    ],
)
def test_settings_change_the_training(settings):
    other = one_step(**settings)
    plain = one_step()
    assert other.shape == plain.shape
    assert not torch.allclose(other, plain)


def test_scheduled_sampling_with_a_floor_of_one_is_teacher_forcing():
    torch.testing.assert_close(
        one_step(sampling="linear", sampling_rate=1.0, sampling_floor=1.0), one_step()
    )


def test_label_smoothing_spreads_the_share_over_all_tokens():
    model = fitted(max_steps=1, label_smoothing=0.3, validation=0.0, held_out=0.0)
    both = model.vocabularies
    batch = batch_of([both.encode_source("one two")], [both.encode_target("zwei eins")], both.end)
    model.eval()
    outputs, _ = model.network(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
    log_p = model.network.readout(outputs[:, 0]).log_softmax(-1)
    true = log_p.gather(1, batch.targets[:, :1]).mean()
    wanted = -(0.7 * true + 0.3 * log_p.mean())
    torch.testing.assert_close(model.training_step(batch, 0)["loss"], wanted)


@pytest.fixture
def vectors(tmp_path):
    draws = np.random.default_rng(0).normal(2.0, 3.0, (3, 10))
    rows = zip(ENGLISH, draws, strict=False)
    lines = [f"{word} {' '.join(f'{v:.5f}' for v in row)}\n" for word, row in rows]
    path = tmp_path / "vectors.txt"
    path.write_text("".join(lines))
    return str(path), draws


@pytest.mark.parametrize("tune", [True, False])
def test_the_source_begins_with_the_vectors_of_a_file_in_the_scale_of_ours(vectors, tune):
    path, draws = vectors
    options = {"joint": False, "max_steps": 3, "validation": 0.0, "held_out": 0.0, "lr": 1e-3}
    model = fitted(embeddings=path, tune_embeddings=tune, **options)
    table = model.network.source_embedding.weight.detach()
    rows = table[[model.vocabularies.source.words.index(word) for word in ENGLISH[:3]]].numpy()
    wanted = draws / draws.std(ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(rows, wanted, atol=2e-2)
    if not tune:
        np.testing.assert_allclose(rows, wanted, atol=1e-5)
    assert model.network.source_embedding.weight.requires_grad == tune


def test_vectors_of_a_joint_vocabulary_and_what_they_need(vectors, tmp_path):
    path, _ = vectors
    fitted(embeddings=path, max_steps=1, out=tmp_path / "run")
    (tmp_path / "vectors.txt").unlink()
    assert ostinato.load(tmp_path / "run").evaluate(PAIRS).lines == 81
    for settings, message in (
        ({"tokens": "subwords", "embeddings": path}, 'tokens must be "words" where embeddings'),
        ({"embeddings": path, "tune_embeddings": False}, "joint must be false where"),
        ({"tune_embeddings": False}, "tune_embeddings must be true without embeddings"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted(**settings)


def test_a_cell_of_ones_own():
    class Mine(torch.nn.GRUCell):
        pass

    model = fitted(cell=Mine, max_steps=2)
    assert any(isinstance(part, Mine) for part in model.network.decoder.modules())
    assert any(isinstance(part, Mine) for part in model.network.encoder.modules())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": "luong"}, "attention must be one of None, dot, general"),
        ({"attention_place": "top"}, "attention_place must be one of after, between"),
        ({"attention_place": "between", "num_layers": 1}, "num_layers must be 2 or more"),
        ({"sampling": "never"}, "sampling must be one of None, linear"),
        ({"sampling_floor": 2.0}, "sampling_floor must be a share"),
        ({"tokens": "bytes"}, "tokens must be one of characters, words, subwords"),
        ({"label_smoothing": 1.0}, "label_smoothing must be in 0..1"),
        ({"encoder_size": 0}, "encoder_size must be at least 1"),
        ({"batch_tokens": 0}, "batch_tokens must be at least 1"),
        ({"validation": 0.5, "held_out": 0.5}, "nothing is left to train on"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TranslatorSettings().changed(**settings)


def test_every_preset_can_be_read():
    for name in TranslatorSettings.preset_names():
        settings = TranslatorSettings.load(name)
        assert TranslatorSettings.from_dict(settings.to_dict()) == settings
