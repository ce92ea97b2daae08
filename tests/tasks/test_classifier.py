import json

import numpy as np
import polars as pl
import pytest
import torch

import ostinato
from ostinato.data.tables import TableError
from ostinato.tasks.classifier.fitting import cut, read_parts, spread
from ostinato.tasks.classifier.settings import ClassifierSettings
from ostinato.tasks.classifier.task import Classifier
from ostinato.tasks.plan import Plan
from ostinato.training import RunError

GOOD = ["fine", "lovely", "grand", "bright"]
BAD = ["foul", "dreary", "dull", "grim"]
# few steps, so that no average of the weights would catch up with them
QUICK = {"hidden_size": 8, "embedding_size": 8, "batch_size": 8, "ema": None}
SMALL = {**QUICK, "progress": False}


def reviews(count=80, seed=0):
    draws = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        words = draws.choice(["the", "film", "was", "and", "so"], size=draws.integers(1, 6))
        word = draws.choice(GOOD if k % 2 else BAD)
        rows.append((" ".join([*words, word, *words[:1]]), "good" if k % 2 else "bad"))
    return rows


def waves(count=60, seed=0):
    draws = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        steps = np.arange(draws.integers(8, 14))
        wave = np.sin(steps * (0.3 if k % 2 else 1.2) + draws.random() * 6)
        rows.append((np.stack([wave, 100 + 5 * wave], axis=1), "slow" if k % 2 else "fast"))
    return rows


@pytest.fixture(scope="module")
def texts():
    with ostinato.engine("eager"):
        return Classifier.fit(
            reviews(), epochs=10, lr=2e-2, output_dropout=0.0, baselines=False, **SMALL
        )


@pytest.fixture(scope="module")
def numbers():
    with ostinato.engine("eager"):
        return Classifier.fit(waves(), values=["*"], epochs=15, lr=2e-2, baselines=False, **SMALL)


def test_texts_are_learned(texts):
    assert texts.figures["held_out"]["accuracy"] == 1.0
    assert texts.predict("the film was grand") == "good"
    assert texts.predict(["so dull", "so lovely"]) == ["bad", "good"]


def test_numbers_are_learned(numbers):
    assert numbers.figures["held_out"]["accuracy"] >= 0.8
    fresh = waves(20, seed=9)
    given = numbers.predict([row for row, _ in fresh])
    assert sum(a == b for a, (_, b) in zip(given, fresh, strict=True)) >= 18
    assert numbers.predict(fresh[0][0]) == given[0]


def test_numbers_are_scaled_by_the_training_part(numbers):
    mean, deviation = numbers.network.mean.tolist(), numbers.network.deviation.tolist()
    assert mean[1] == pytest.approx(100 + 5 * mean[0], rel=1e-4)
    assert deviation[1] == pytest.approx(5 * deviation[0], rel=1e-4)
    raw = Classifier.fit(waves(), values=["*"], scale=False, max_steps=1, baselines=False, **SMALL)
    assert raw.network.mean.tolist() == [0, 0]


def test_probabilities_sum_to_one_and_the_largest_is_the_answer(texts):
    told = texts.predict(["so dull", "the bright film"], probabilities=True)
    for row, label in zip(told, texts.predict(["so dull", "the bright film"]), strict=True):
        assert list(row) == ["bad", "good"]
        assert sum(row.values()) == pytest.approx(1, abs=1e-6)
        assert max(row, key=row.get) == label


def test_an_answer_does_not_depend_on_the_rows_beside_it(texts):
    some = [text for text, _ in reviews(30, seed=3)]
    together = texts.predict(some, probabilities=True)
    for text, row in zip(some, together, strict=True):
        alone = texts.predict(text, probabilities=True)
        assert alone["good"] == pytest.approx(row["good"], abs=1e-5)


def test_a_saved_model_says_the_same(texts, numbers, tmp_path):
    for name, model, asked in [
        ("texts", texts, ["so dull", "a new word"]),
        ("numbers", numbers, [waves()[0][0]]),
    ]:
        model.save(tmp_path / name)
        again = ostinato.load(tmp_path / name)
        assert isinstance(again, Classifier)
        expected = model.predict(asked, probabilities=True)
        assert again.predict(asked, probabilities=True) == expected
        assert again.figures == model.figures


def test_a_run_goes_on_where_it_was(tmp_path):
    options = {**SMALL, "baselines": False, "seed": 3, "save_every": 1, "ngrams": 50}
    whole = Classifier.fit(reviews(), epochs=3, out=tmp_path / "a", **options)
    Classifier.fit(reviews(), epochs=2, schedule="constant", out=tmp_path / "c", **options)
    Classifier.fit(reviews(), max_steps=7, epochs=3, out=tmp_path / "b", **options)
    resumed = Classifier.fit(
        reviews(), out=tmp_path / "b", resume=True, max_steps=None, progress=False, baselines=False
    )
    assert resumed.figures["training"]["steps"] == whole.figures["training"]["steps"]
    with pytest.raises(RunError, match="begun on other data"):
        Classifier.fit(reviews(seed=1), out=tmp_path / "b", resume=True, progress=False)


def test_files_are_read_scored_and_answered(texts, tmp_path):
    frame = pl.DataFrame(reviews(30, seed=5), schema=["text", "label"], orient="row")
    path = tmp_path / "rows.csv"
    frame.write_csv(path)
    score = texts.evaluate(path)
    assert score.rows == 30
    given = texts.predict(path)
    assert given == texts.predict(frame["text"].to_list())
    right = np.mean([a == b for a, b in zip(given, frame["label"], strict=True)])
    assert score.accuracy == right
    assert score.confusion.sum() == 30
    assert texts.predict(pl.DataFrame({"text": ["so dull"]})) == ["bad"]


def test_long_tables_are_learned_from_and_answered():
    rows = [
        {"id": f"{n}", "t": t, "x": float(step[0]), "y": float(step[1]), "label": label}
        for n, (values, label) in enumerate(waves(24))
        for t, step in enumerate(values)
    ]
    table = pl.DataFrame(rows)
    model = Classifier.fit(
        table, values=["x", "y"], id="id", time="t", epochs=2, baselines=False, **SMALL
    )
    assert model.coder.inputs.width == 2
    given = model.predict(table.drop("label"))
    assert given == model.predict([values for values, _ in waves(24)])


def test_several_labels_a_row(tmp_path):
    draws = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        chosen = draws.random(3) < 0.5
        words = [w for w, c in zip(["red", "tall", "old"], chosen, strict=True) if c]
        rows.append({"text": " ".join(["a", *draws.permutation(words)]), "label": "|".join(words)})
    frame = pl.DataFrame(rows)
    model = Classifier.fit(
        frame,
        label_separator="|",
        epochs=12,
        lr=2e-2,
        output_dropout=0.0,
        input_dropout=0.0,
        **SMALL,
    )
    assert model.coder.several
    assert model.figures["held_out"]["accuracy"] > 0.8
    assert model.figures["baselines"]["tfidf_pairs_regression"] > 0.8
    assert model.predict("a tall red") == ("red", "tall")
    assert model.predict("a") == ()
    model.save(tmp_path / "run")
    assert ostinato.load(tmp_path / "run").predict(["a old"]) == [("old",)]
    assert model.evaluate(frame).to_dict()["micro_f1"] > 0.9


def test_baselines_are_scored_on_the_same_rows():
    model = Classifier.fit(reviews(), epochs=1, **SMALL)
    guesses = model.figures["baselines"]
    assert guesses["most_frequent"] == pytest.approx(0.5, abs=0.2)
    assert guesses["tfidf_pairs_regression"] == 1.0
    assert set(guesses) == {"most_frequent", "tfidf_pairs_regression", "feed_forward"}
    plain = Classifier.fit(waves(), values=["*"], cell="none", epochs=1, **SMALL)
    assert set(plain.figures["baselines"]) == {"most_frequent", "logistic_regression"}


@pytest.mark.parametrize("tokens", ["characters", "subwords"])
def test_tokens_of_every_kind(tokens):
    model = Classifier.fit(reviews(40), tokens=tokens, max_steps=2, baselines=False, **SMALL)
    # signs that the training part had not are no fault
    assert model.predict("ein schöner Film ☺") in ("good", "bad")


def test_ngrams_give_unknown_words_a_meaning():
    rows = [(f"{a}{b}", "yes" if a == "glorious" else "no") for a in ("glorious", "tedious")
            for b in ("ly", "ness", "est", "er", "ing", "ed")] * 6  # fmt: skip
    options = {**SMALL, "input_dropout": 0.0, "epochs": 8, "lr": 2e-2, "baselines": False}
    model = Classifier.fit(rows, ngrams=500, **options)
    assert model.predict(["gloriousish", "tediousish"]) == ["yes", "no"]
    without = Classifier.fit(rows, **options).predict(
        ["gloriousish", "tediousish"], probabilities=True
    )
    assert without[0] == without[1]


def test_words_begin_with_the_vectors_of_a_file(tmp_path):
    words = [*GOOD, *BAD]
    file = tmp_path / "vectors.txt"
    lines = [f"{word} {' '.join(f'{k}.{n}' for n in range(8))}" for k, word in enumerate(words)]
    file.write_text("\n".join(lines) + "\n")
    options = {**SMALL, "embeddings": str(file), "members": 2, "baselines": False, "max_steps": 2}
    kept = Classifier.fit(reviews(), tune_embeddings=False, **options)
    number = kept.coder.tokenizer.encode("grand")[0]
    k = words.index("grand")
    expected = torch.tensor([float(f"{k}.{n}") for n in range(8)])
    assert len(kept.network.embeddings) == 2
    for embedding in kept.network.embeddings:
        assert torch.equal(embedding.weight[number], expected)
    tuned = Classifier.fit(reviews(), **options)
    vector = tuned.network.embeddings[0].weight[number]
    assert not torch.equal(vector, expected)
    assert torch.allclose(vector, expected, atol=0.1)
    with pytest.raises(ValueError, match="embeddings must be none, unless texts are cut into wor"):
        Classifier.fit(waves(), values=["*"], **options)
    with pytest.raises(ValueError, match="tune_embeddings must be true without embeddings"):
        Classifier.fit(reviews(), tune_embeddings=False, **SMALL)


def test_balanced_weights_help_the_rare_label():
    rows = reviews(20) + [row for row in reviews(160, seed=1) if row[1] == "good"]
    draws = np.random.default_rng(0)
    noisy = [(text.split()[0], label) for text, label in rows]
    order = draws.permutation(len(noisy))
    noisy = [noisy[k] for k in order]
    options = {**SMALL, "epochs": 8, "lr": 1e-2, "baselines": False}
    plain = Classifier.fit(noisy, **options)
    balanced = Classifier.fit(noisy, class_weights="balanced", **options)
    assert plain.network.weights.tolist() == [1, 1]
    counts = [sum(label == name for _, label in rows) for name in ("bad", "good")]
    ratio = balanced.network.weights[0] / balanced.network.weights[1]
    assert float(ratio) == pytest.approx(counts[1] / counts[0], rel=0.2)
    p_plain, p_balanced = (m.predict("the", probabilities=True)["bad"] for m in (plain, balanced))
    assert p_balanced > p_plain + 0.1


def test_updates_learn_what_has_changed_and_keep_labels(texts, tmp_path):
    texts.save(tmp_path / "run")
    model = ostinato.load(tmp_path / "run")
    turned = [(text, "bad" if label == "good" else "good") for text, label in reviews(80, seed=7)]
    before = model.evaluate(turned).accuracy
    losses = [model.update(iter(turned), lr=2e-2) for _ in range(8)]
    assert losses[-1] < losses[0] / 2
    assert model.evaluate(turned).accuracy > max(before, 0.9)
    assert not model.training
    with pytest.raises(TableError, match="row 1: the training part had no label 'so-so'"):
        model.update([("fine", "good"), ("fine", "so-so")])
    with pytest.raises(TableError, match="no rows to learn from"):
        model.update({"text": [], "label": []})


def test_a_cell_of_ones_own(tmp_path):
    model = Classifier.fit(
        reviews(40), cell=torch.nn.GRUCell, max_steps=2, baselines=False, out=tmp_path, **SMALL
    )
    assert model.settings.model.cell.startswith("torch")
    assert isinstance(ostinato.load(tmp_path).network.members[0].stack.cell, torch.nn.GRUCell)


def test_cross_validation_scores_every_row_once():
    seen = []
    folds = Classifier.cross_validate(
        reviews(60),
        folds=3,
        epochs=10,
        lr=2e-2,
        output_dropout=0.0,
        watch=lambda k, figures: seen.append(k),
        **QUICK,
    )
    assert seen == [0, 1, 2]
    told = folds.to_dict()
    assert np.sum(told["confusion"]) == 60
    assert told["folds"] == 3
    assert told["accuracy"] == np.mean(told["accuracies"]) > 0.8
    assert told["accuracy"] == pytest.approx(np.trace(told["confusion"]) / 60)
    assert told["baselines"]["most_frequent"] <= 0.6
    json.dumps(told)
    with pytest.raises(ValueError, match="folds must be at least 2"):
        Classifier.cross_validate(reviews(4), folds=1)
    with pytest.raises(TableError, match=r"4 row.* cannot be dealt into 5 folds"):
        Classifier.cross_validate(reviews(4), folds=5)


def test_parts_have_each_label_alike_and_differ_by_seed():
    rows = [(f"text {k}", "rare" if k < 20 else "often") for k in range(200)]
    settings = ClassifierSettings().changed(validation=0.1, held_out=0.2)
    parts = read_parts(settings, rows)
    sizes = [len(part) for part in (parts.train, parts.validation, parts.held_out)]
    assert sizes == [144, 16, 40]
    assert sorted(np.concatenate([parts.train, parts.validation, parts.held_out])) == [*range(200)]
    assert (parts.held_out < 20).sum() == 4
    again = read_parts(settings, rows)
    assert np.array_equal(again.held_out, parts.held_out)
    other = read_parts(settings.changed(seed=1), rows)
    assert not np.array_equal(other.held_out, parts.held_out)


def test_a_label_of_one_row_stays_where_it_can_be_learned():
    rows = [(f"text {k}", "once" if k == 3 else "often") for k in range(20)]
    parts = read_parts(ClassifierSettings().changed(validation=0.0, held_out=0.0), rows)
    for seed in range(30):
        rest, drawn = cut(parts.rows, parts.train, 0.5, seed)
        assert 3 in rest
        assert len(rest) + len(drawn) == 20
    order = spread(parts.rows, parts.train, 0)
    assert 3 in (order[0], order[-1])


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("x", "a")] * 9, {}, "all rows that are trained on have the label 'a'"),
        ([], {}, "list of files is empty"),
        ([("x", "a"), ("y", "b")], {"validation": [("x", "c")]}, "row 0: no row .* label 'c'"),
        ([(np.zeros((3, 2)), "a"), (np.zeros((3, 1)), "b")], {"values": ["*"]}, "row 1: 1 number"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_refused(rows, options, message):
    with pytest.raises(TableError, match=message):
        Classifier.fit(rows, held_out=0.0, **{**SMALL, **options})


def test_questions_that_cannot_be_answered_are_refused(texts, numbers, tmp_path):
    with pytest.raises(TableError, match="row 1: the text is empty"):
        texts.predict(["fine", "  "])
    with pytest.raises(TableError, match="the model reads a text"):
        texts.predict(np.zeros((3, 2)))
    with pytest.raises(TableError, match="the model reads numbers"):
        numbers.predict("fine")
    with pytest.raises(TableError, match=r"3 number\(s\) to a step, .* trained on 2"):
        numbers.predict(np.zeros((4, 3)))
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nfine,good\ndull,awful\n")
    with pytest.raises(TableError, match=r"rows.csv, line 3: .* no label 'awful'"):
        texts.evaluate(path)
    flat = Classifier.fit(
        [(np.ones((3, 1)) * (k % 2), f"{k % 2}") for k in range(20)],
        values=["*"], cell="none", max_steps=1, baselines=False, **SMALL,
    )  # fmt: skip
    with pytest.raises(TableError, match="4 steps, but a network without a cell reads rows of 3"):
        flat.predict(np.zeros((4, 1)))


def test_rows_of_one_length_in_training_do_not_bind_a_recurrent_net():
    rows = [(np.ones((3, 1)) * (k % 2), f"{k % 2}") for k in range(20)]
    model = Classifier.fit(rows, values=["*"], max_steps=1, baselines=False, **SMALL)
    assert model.predict(np.zeros((5, 1))) in ("0", "1")


def test_labels_are_in_the_order_that_a_person_expects():
    rows = [(f"text {k}", f"{k % 12}") for k in range(60)]
    model = Classifier.fit(rows, max_steps=1, baselines=False, **SMALL)
    assert model.labels == [f"{k}" for k in range(12)]


def test_padding_is_little():
    draws = np.random.default_rng(0)
    rows = [(" ".join(["w"] * draws.integers(1, 60)), f"{k % 2}") for k in range(2000)]
    model = Classifier.fit(rows, max_steps=1, baselines=False, **{**SMALL, "batch_size": 16})
    assert model.figures["padding"] <= 0.1


def test_a_batch_has_no_more_steps_than_asked():
    def batches(**settings):
        plan = Plan(ClassifierSettings().changed(batch_size=30, **settings), baselines=False)
        return [batch.x.shape for batch in Classifier.prepare(plan, reviews(), None, None).train]

    assert max(rows for _, rows in batches()) == 30
    few = batches(batch_steps=24)
    assert all(steps * rows <= 24 for steps, rows in few)
    assert sum(rows for _, rows in few) == sum(rows for _, rows in batches())
