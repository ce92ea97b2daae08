import gzip
import json
import math

import pytest
import torch
from torch import nn

import ostinato
from ostinato.data.text import Document
from ostinato.tasks import plan, task
from ostinato.tasks.language_model.settings import LanguageModelSettings
from ostinato.tasks.language_model.task import LanguageModel
from ostinato.training import FitResult, RunError, TrainingConfig

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 40
TINY = {
    "hidden_size": 12,
    "embedding_size": 6,
    "num_layers": 1,
    "output_dropout": 0.0,
    "batch_size": 4,
    "chunk_length": 16,
    "max_steps": 6,
    "warmup_steps": 0,
    "lr": 0.02,
}


def fit(source=TEXT, **settings):
    return LanguageModel.fit(source, progress=False, **{**TINY, **settings})


class Plain(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.inner = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h):
        return torch.tanh(self.inner(torch.cat([x, h], dim=-1)))


def test_fit_learns_and_reports_what_it_is_compared_to():
    lm = fit(max_steps=None, epochs=25)
    figures = lm.figures
    assert figures["held_out"]["nats_per_token"] < 0.5 * figures["baselines"]["uniform"]
    assert figures["held_out"]["nats_per_token"] < figures["baselines"]["unigram"]
    assert figures["baselines"]["uniform"] == pytest.approx(math.log(lm.tokenizer.size))
    assert figures["training"]["epochs"] == 25
    assert figures["held_out"]["tokens"] == len(TEXT) - int(len(TEXT) * 0.9) - 1
    assert not lm.training


@pytest.mark.parametrize("cell", ["gru", "mgu", "torch.nn:GRUCell", Plain])
def test_any_cell_by_name_module_or_class(cell, tmp_path):
    lm = fit(cell=cell, out=tmp_path / "run")
    again = ostinato.load(tmp_path / "run", **({"cell": Plain} if cell is Plain else {}))
    assert again.generate("the", 20, seed=0) == lm.generate("the", 20, seed=0)


@pytest.mark.parametrize("tokens", ["characters", "words", "subwords"])
def test_every_kind_of_token_is_fitted_scored_saved_and_loaded(tokens, tmp_path):
    size = {"subwords": {"vocabulary_size": 270}}.get(tokens, {})
    lm = fit(tokens=tokens, out=tmp_path / "run", **size)
    again = ostinato.load(tmp_path / "run")
    assert again.tokenizer == lm.tokenizer
    assert again.settings == lm.settings
    assert again.figures == lm.figures
    assert again.generate("the cat", 20, seed=0) == lm.generate("the cat", 20, seed=0)
    held_out = lm.figures["held_out"]
    assert held_out == lm.evaluate(TEXT, part="held_out").to_dict()
    total = held_out["nats_per_token"] * held_out["tokens"]
    assert held_out["nats_per_character"] * held_out["characters"] == pytest.approx(total)
    assert held_out["perplexity"] == pytest.approx(math.exp(held_out["nats_per_token"]))
    assert held_out["bits_per_token"] == pytest.approx(held_out["nats_per_token"] / math.log(2))


def test_run_folder_holds_everything_and_no_pickle(tmp_path):
    fit(out=tmp_path / "run", log_every=2)
    names = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    wanted = "config.json tokenizer.json model.safetensors metrics.jsonl environment.json"
    assert set(wanted.split()) <= names
    assert not [name for name in names if name.endswith((".pt", ".ckpt", ".pkl", ".bin"))]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {"loss", "val_loss", "held_out"} <= set().union(*lines)


def test_seed_settles_the_run_and_other_seeds_differ():
    same = [fit(seed=3).figures["held_out"]["nats_per_token"] for _ in range(2)]
    assert same[0] == same[1] != fit(seed=4).figures["held_out"]["nats_per_token"]


@pytest.mark.parametrize(
    "change",
    [
        {"shuffle": False},
        {"chunk_length": 8},
        {"batch_size": 2},
        {"validation": 0.2},
        {"held_out": 0.2},
        {"activation_penalty": 5.0},
        {"slowness_penalty": 5.0},
        {"cell_options": {"forget_bias": 3.0}},
        {"optimizer": "sgd"},
        {"precision": "bf16"},
        {"precision": "64"},
    ],
)
def test_each_setting_changes_the_outcome(change):
    plain, other = fit(), fit(**change)
    weights = [dict(lm.network.named_parameters()) for lm in (plain, other)]
    assert any(
        value.shape != weights[1][name].shape or not torch.equal(value, weights[1][name].to(value))
        for name, value in weights[0].items()
    )


def test_nothing_of_the_held_out_part_is_learned_from():
    # the end differs, and only the figures of the end do
    end = len(TEXT) - int(len(TEXT) * 0.9)
    other = TEXT[:-end] + "mat" + TEXT[-end + 3 :]
    assert sorted(set(other)) == sorted(set(TEXT))
    first, second = fit(), fit(other)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert first.figures["training"]["best"] == second.figures["training"]["best"]
    assert first.figures["held_out"] != second.figures["held_out"]


def test_validation_of_nothing_keeps_the_last_weights():
    lm = fit(validation=0)
    assert lm.figures["training"]["best"] is None
    with pytest.raises(ValueError, match="patience needs a validation part"):
        fit(validation=0, patience=2)


def test_nothing_held_out_gives_no_score():
    assert "held_out" not in fit(held_out=0).figures


def test_early_stopping_ends_before_its_time():
    lm = fit(max_steps=None, epochs=50, lr=0.0, patience=2)
    assert lm.figures["training"]["stopped"] == "patience"
    assert lm.figures["training"]["epochs"] < 50


def test_documents_start_afresh(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT.upper().encode()))
    lm = fit(tmp_path)
    assert lm.tokenizer.end is not None
    alone = lm.evaluate(Document("the cat")).nats
    twice = lm.evaluate([Document("the cat"), Document("the cat")])
    assert twice.nats == pytest.approx(2 * alone, rel=1e-5)
    assert twice.tokens == 2 * len("the cat") + 2


def test_evaluating_in_rows_forgets_only_at_their_starts():
    lm = fit()
    whole, rows = lm.evaluate(TEXT), lm.evaluate(TEXT, rows=3)
    assert rows.tokens == whole.tokens
    assert rows.nats != whole.nats
    assert rows.nats == pytest.approx(whole.nats, rel=0.02)


def test_scoring_reads_on_across_blocks(monkeypatch):
    from ostinato.tasks.language_model import scoring

    lm = fit()
    whole = lm.evaluate(TEXT).nats
    monkeypatch.setattr(scoring, "_BLOCK", 7)
    assert lm.evaluate(TEXT).nats == pytest.approx(whole, rel=1e-5)


def test_unseen_words_are_counted():
    lm = fit(tokens="words")
    assert lm.evaluate("the zebra sat.\n").unknown == 1


def test_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path):
    settings = {"max_steps": None, "epochs": 3, "save_every": 5, "val_every": 10}
    whole = fit(**settings)

    class KilledError(Exception):
        pass

    class Fragile(LanguageModel):
        count = 0

        def training_step(self, batch, batch_idx):
            Fragile.count += 1
            if Fragile.count == 32:
                raise KilledError
            return super().training_step(batch, batch_idx)

    with pytest.raises(KilledError):
        Fragile.fit(TEXT, out=tmp_path / "run", progress=False, **{**TINY, **settings})
    assert ostinato.load(tmp_path / "run").generate("the", 3)
    resumed = LanguageModel.fit(TEXT, out=tmp_path / "run", resume=True, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert resumed.figures["held_out"] == whole.figures["held_out"]
    saved = ostinato.load(tmp_path / "run")
    assert saved.generate("the", 9, seed=0) == whole.generate("the", 9, seed=0)


def test_what_a_resumed_run_may_not_change(tmp_path):
    out = tmp_path / "run"
    fit(out=out, save_every=2)
    with pytest.raises(RunError, match="begun on other data"):
        LanguageModel.fit(TEXT + "x\n", out=out, resume=True, progress=False)
    with pytest.raises(ValueError, match="hidden_size is 13 but the run was begun with 12"):
        LanguageModel.fit(TEXT, out=out, resume=True, progress=False, hidden_size=13)
    with pytest.raises(ValueError, match=r"lr is 1\.0 but"):
        LanguageModel.fit(TEXT, out=out, resume=True, progress=False, lr=1.0)
    with pytest.raises(ValueError, match="resume needs out"):
        LanguageModel.fit(TEXT, resume=True)
    longer = LanguageModel.fit(TEXT, out=out, resume=True, progress=False, max_steps=9)
    assert longer.figures["training"]["steps"] == 9


def test_a_run_is_not_overwritten_unasked(tmp_path):
    out = tmp_path / "run"
    fit(out=out)
    with pytest.raises(RunError, match=r"holds a run already.*overwrite"):
        fit(out=out)
    fit(out=out, overwrite=True, hidden_size=7)
    assert ostinato.load(out).settings.model.hidden_size == 7


def test_further_devices_begin_on_the_folder_that_the_first_has_made(tmp_path, monkeypatch):
    out = tmp_path / "run"
    fit(out=out)
    monkeypatch.setattr(plan.rank_zero_only, "rank", 1)
    before = (out / "config.json").read_bytes()
    ended = FitResult("interrupted", 0, 0, 0, 0.0, None, 0, is_main=False)
    monkeypatch.setattr(task, "fit", lambda *_, **__: ended)
    assert fit(out=out, hidden_size=5).settings.model.hidden_size == 5
    assert (out / "config.json").read_bytes() == before


def test_interrupted_run_is_saved_without_being_scored(tmp_path, monkeypatch):
    def interrupted(model, *rest, **options):
        return FitResult("interrupted", 3, 0, 9, 1.0, None, 0)

    monkeypatch.setattr(task, "fit", interrupted)
    lm = fit(out=tmp_path / "run")
    assert lm.figures["training"]["stopped"] == "interrupted"
    assert "held_out" not in lm.figures
    assert ostinato.load(tmp_path / "run").figures == lm.figures


def test_new_run_forgets_the_checkpoint_of_the_one_it_replaces(tmp_path, monkeypatch):
    out = tmp_path / "run"
    fit(out=out, save_every=2)
    assert list((out / "checkpoint").iterdir())
    with monkeypatch.context() as patch:
        stopped = FitResult("interrupted", 0, 0, 0, 0.0, None, 0)
        patch.setattr(task, "fit", lambda *_, **__: stopped)
        fit(out=out, overwrite=True)
    with pytest.raises(RunError, match="checkpoint"):
        LanguageModel.fit(TEXT, out=out, resume=True, progress=False)


def test_settings_come_from_a_file_a_dictionary_or_names(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("[model]\nhidden_size = 9\n")
    by_file = fit(config=path, hidden_size=9)
    assert by_file.settings.model.hidden_size == 9
    by_dictionary = LanguageModel.fit(
        TEXT, config={"model": {"hidden_size": 9}}, progress=False, max_steps=1, batch_size=4
    )
    assert by_dictionary.settings.model.hidden_size == 9
    again = LanguageModel.fit(TEXT, config=by_file.settings, progress=False)
    assert again.settings == by_file.settings


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (Document("aaaaaaaaaaaaaaaaaaaaaaa"), {}, "only one kind of character, 'a'"),
        (Document("a"), {}, "only one kind of character"),
        ("ab\n" * 10, {}, r"tokens to train on.*needs at least 65.*batch_size=1"),
        (TEXT, {"hiden_size": 3}, "Did you mean hidden_size"),
        (TEXT, {"cell": "lsmt"}, "Did you mean 'lstm'"),
        (TEXT, {"tokens": "runes"}, "characters, words, subwords"),
        (TEXT, {"config": "no-such-preset"}, "no-such-preset"),
    ],
)
def test_what_cannot_be_fitted_is_explained(source, settings, message):
    with pytest.raises(ValueError, match=message):
        fit(source, **settings)


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fit("nowhere")


def test_foreign_and_mismatched_folders_are_refused(tmp_path):
    from ostinato.training import save_run

    save_run(tmp_path / "a", task="weather", settings={}, weights={})
    with pytest.raises(RunError, match="task 'weather'"):
        ostinato.load(tmp_path / "a")
    with pytest.raises(RunError, match="'weather' run"):
        LanguageModel.load(tmp_path / "a")
    save_run(tmp_path / "b", task="language_model", settings={}, weights={})
    with pytest.raises(RunError, match="not a language model that this Ostinato can read"):
        ostinato.load(tmp_path / "b")
    lm = fit(out=tmp_path / "c")
    lm.settings = lm.settings.changed(hidden_size=9)
    lm.save(tmp_path / "c")
    with pytest.raises(RunError, match="weights do not fit"):
        ostinato.load(tmp_path / "c")


def test_scoring_asks_for_enough_text():
    lm = fit()
    with pytest.raises(ValueError, match="too short to score"):
        lm.evaluate(Document("t"))
    with pytest.raises(ValueError, match="rows must be in"):
        lm.evaluate("the cat\n", rows=99)
    with pytest.raises(ValueError, match="part must be"):
        lm.evaluate("the cat\n", part="end")
    with pytest.raises(ValueError, match="'X'"):
        lm.evaluate("the Xat\n")


def test_a_trainer_of_ones_own_will_do():
    from torch.utils.data import DataLoader

    from ostinato.data.streams import TokenStreams, encode_documents
    from ostinato.data.tokenizers import CharTokenizer
    from ostinato.training import make_trainer
    from ostinato.training.quiet import quiet

    tokenizer = CharTokenizer.fit([TEXT])
    lm = LanguageModel(tokenizer, LanguageModelSettings().changed(**TINY))
    streams = TokenStreams(encode_documents(tokenizer, [TEXT]), 4, 16)
    before = [p.detach().clone() for p in lm.parameters()]
    loader = DataLoader(list(streams), batch_size=None)
    with quiet():
        make_trainer(TrainingConfig(max_steps=2, device="cpu")).fit(lm, loader, loader)
    assert any(not torch.equal(a, b) for a, b in zip(before, lm.parameters(), strict=True))


@pytest.mark.parametrize("tuned", [True, False])
def test_a_word_model_begins_with_the_vectors_of_a_file(tmp_path, tuned):
    from ostinato.data.vectors import WordVectors

    words = ["cat", "dog", "the", "elk"]
    vectors = WordVectors(words, torch.arange(24.0).reshape(4, 6).numpy())
    vectors.save(tmp_path / "v.txt")
    lm = fit(
        tokens="words",
        embeddings=str(tmp_path / "v.txt"),
        tune_embeddings=tuned,
        out=tmp_path / "run",
    )
    row = lm.tokenizer.words.index("cat")
    kept = torch.equal(lm.network.embedding.weight[row], torch.from_numpy(vectors["cat"]))
    assert kept != tuned
    if tuned:
        assert lm.network.embedding.weight[row].sub(torch.arange(6.0)).abs().max() < 1
    # the file is read once only
    (tmp_path / "v.txt").unlink()
    again = ostinato.load(tmp_path / "run")
    assert torch.equal(again.network.embedding.weight, lm.network.embedding.weight)


def test_vectors_are_of_words():
    with pytest.raises(ValueError, match="vectors of words, not of characters"):
        fit(embeddings="v.txt")
    with pytest.raises(ValueError, match="tune_embeddings must be true without embeddings"):
        fit(tune_embeddings=False)
    with pytest.raises(FileNotFoundError, match=r"no file 'nope\.txt' of word vectors"):
        fit(tokens="words", embeddings="nope.txt")


def test_the_parts_that_are_set_apart_are_no_longer_than_asked():
    whole, short = fit(), fit(most_apart=40)
    assert whole.figures["held_out"]["tokens"] > 100
    assert short.figures["held_out"]["tokens"] == 39
