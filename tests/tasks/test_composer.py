import itertools
import json
import math

import numpy as np
import pytest
import torch

import ostinato
from ostinato.baselines.notes import held_nats, often_nats
from ostinato.cli import run
from ostinato.data.music import MusicError, Piece, read_music, write_midi
from ostinato.tasks.composer.network import IndependentNotes, NoteByNote
from ostinato.tasks.composer.settings import ComposerSettings
from ostinato.tasks.composer.task import Composer, Transposed

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def tune(start, length=12):
    return Piece(
        tuple((SCALE[(start + t + 2) % 8] - 12, SCALE[(start + t) % 8]) for t in range(length))
    )


TUNES = [tune(k % 8, 8 + k % 5) for k in range(24)]
TINY = {"hidden_size": 16, "batch_size": 8, "max_steps": 4, "warmup_steps": 0, "progress": False}


def fit(source=TUNES, **settings):
    return Composer.fit(source, **{**TINY, **settings})


def test_a_tune_that_repeats_is_learnt_and_continued():
    model = fit(max_steps=300, lr=0.02, hidden_size=48, transpose=0, ema=None, output_dropout=0.1)
    held_out = model.figures["held_out"]["nats_per_step"]
    assert held_out < 0.5 < min(model.figures["baselines"].values())
    written = model.compose(tune(3, 5), length=6, temperature=0)
    assert written.steps == tune(0, 6).steps


@pytest.mark.parametrize("output", ["independent", "note_by_note"])
def test_chances_of_all_sets_of_notes_sum_to_one(output):
    torch.manual_seed(0)
    head = IndependentNotes(3, 4) if output == "independent" else NoteByNote(3, 4, 5)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)))
    h = torch.randn(1, 3).expand(16, 3)
    assert torch.exp(-head.nats(h, every)).sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("output", ["independent", "note_by_note"])
def test_draws_follow_the_chances(output):
    torch.manual_seed(0)
    head = IndependentNotes(3, 3) if output == "independent" else NoteByNote(3, 3, 5)
    h = torch.randn(1, 3)
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    with torch.no_grad():
        chances = torch.exp(-head.nats(h.expand(8, 3), every))
        drawn = head.draw(h.expand(20000, 3), 1.0, torch.Generator().manual_seed(1))
        counted = (
            torch.bincount((drawn @ torch.tensor([4.0, 2.0, 1.0])).long(), minlength=8) / 20000
        )
        assert (counted - chances).abs().max() < 0.015
        marginal = (chances[:, None] * every).sum(0)
        assert (head.chances(h)[0] - marginal).abs().max() < 0.12


def test_notes_of_a_step_may_hang_together():
    # two keys that sound together or not at all: independent keys cannot know it
    pieces = [
        Piece(tuple((60, 64) if bit else () for bit in bits))
        for bits in np.random.default_rng(0).integers(0, 2, (40, 20))
    ]
    options = {
        "max_steps": 250,
        "lr": 0.02,
        "transpose": 0,
        "ema": None,
        "output_dropout": 0.0,
        "input_dropout": 0.0,
    }
    alone = fit(pieces, **options).figures["held_out"]["nats_per_step"]
    together = fit(pieces, output="note_by_note", **options).figures["held_out"]["nats_per_step"]
    assert alone > 1.9 * math.log(2)
    assert together < 1.2 * math.log(2)


def test_score_is_the_mean_from_the_second_step_on_whatever_the_batch():
    model = fit()
    rolls = [piece.roll() for piece in TUNES[:5]]
    together = model.score(rolls)
    alone = [model.score([roll]) for roll in rolls]
    assert together.steps == sum(len(roll) - 1 for roll in rolls) == sum(s.steps for s in alone)
    mean = sum(score.nats_per_step * score.steps for score in alone) / together.steps
    assert together.nats_per_step == pytest.approx(mean, rel=1e-5)
    with pytest.raises(MusicError, match="too short"):
        model.score([rolls[0][:1]])


def test_predicted_chances_give_the_score():
    model = fit()
    chances = model.predict(TUNES[0])
    roll = TUNES[0].roll()
    nats = -np.log(np.where(roll, chances, 1 - chances)).sum(axis=1)
    assert nats[1:].mean() == pytest.approx(model.score([roll]).nats_per_step, rel=1e-4)


def test_a_continuation_reads_the_prompt_and_comes_again_with_its_seed():
    model = fit(max_steps=60, lr=0.02)
    first = model.compose(tune(3), 8, seed=1)
    assert first == model.compose(tune(3), 8, seed=1)
    assert first != model.compose(tune(3), 8, seed=2)
    assert len(model.compose(length=0)) == 0
    both = model.compose(tune(3), 2, seed=1, include_prompt=True)
    assert both.steps[:12] == tune(3).steps
    assert len(both) == 14
    for wrong in ({"length": -1}, {"temperature": -0.1}, {"temperature": math.nan}):
        with pytest.raises(ValueError, match="compose: length and temperature"):
            model.compose(**wrong)


@pytest.mark.parametrize("output", ["independent", "note_by_note"])
def test_saved_composer_is_the_same(tmp_path, output):
    model = fit(output=output, out=tmp_path / "run", cell="lstm")
    again = ostinato.load(tmp_path / "run")
    assert again.settings == model.settings
    assert again.figures == model.figures
    assert again.compose(tune(1), 9, seed=3) == model.compose(tune(1), 9, seed=3)


def test_resumed_run_ends_like_one_that_was_not_stopped(tmp_path):
    whole = fit(max_steps=8, epochs=4, schedule="constant")
    fit(max_steps=5, epochs=4, schedule="constant", out=tmp_path / "run")
    again = fit(max_steps=8, epochs=4, schedule="constant", out=tmp_path / "run", resume=True)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    with pytest.raises(ValueError, match="other data"):
        fit(
            TUNES[1:], max_steps=9, epochs=4, schedule="constant", out=tmp_path / "run", resume=True
        )


def test_each_epoch_is_moved_anew():
    batches = Transposed([piece.roll() for piece in TUNES], 5, 4, seed=0)
    keys = [{int(k) for b in batches.epoch(n) for k in b.notes.nonzero()[:, 2]} for n in (0, 1)]
    original = {int(k) for piece in TUNES for k in piece.roll().nonzero()[1]}
    assert keys[0] > original
    assert [b.notes.tolist() for b in batches.epoch(0)] == [
        b.notes.tolist() for b in batches.epoch(0)
    ]
    assert [b.lengths.tolist() for b in batches.epoch(0)] != [
        b.lengths.tolist() for b in batches.epoch(1)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"transpose": 4},
        {"input_dropout": 0.6},
        {"output_dropout": 0.0},
        {"cell": "elman"},
        {"output": "note_by_note"},
        {"chunk_length": 4},
    ],
)
def test_every_setting_changes_what_is_learnt(change):
    assert fit(**change).figures["held_out"] != fit().figures["held_out"]


def test_width_of_notes_and_grid_are_used(tmp_path):
    wide = Composer(ComposerSettings().changed(output="note_by_note", note_size=7))
    assert wide.network.notes.weight_in.shape == (88, 7)
    write_midi(TUNES[0], tmp_path / "a.mid", steps_per_quarter=2)
    model = fit(steps_per_quarter=2)
    assert model.evaluate(tmp_path / "a.mid").steps == len(TUNES[0]) - 1


def test_parts_of_a_file_are_kept_apart(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"train": [t.steps for t in TUNES], "test": [tune(1).steps] * 3}))
    model = fit(path)
    assert model.figures["held_out"]["pieces"] == 3
    assert model.evaluate(path).pieces == 3
    assert model.figures["held_out"] == model.evaluate(path).to_dict()
    with pytest.raises(MusicError, match="too few to set"):
        fit(TUNES[:2])
    assert fit(TUNES[:2], validation=tune(0), test=tune(1)).figures["held_out"]["pieces"] == 1


def test_guesses_are_what_counting_by_hand_gives():
    rolls = [np.array([[1, 0], [1, 0], [0, 0]], np.uint8)]
    # key 0: sounds once in two steps; key 1 never
    assert often_nats(rolls, rolls) == pytest.approx(-math.log(2 / 4) - math.log(3 / 4))
    # key 0 was on before both steps, and stayed once
    assert held_nats(rolls, rolls) == pytest.approx(-math.log(2 / 4) - math.log(3 / 4))
    held = [np.array([[1, 0]] * 9 + [[0, 1]] * 9, np.uint8)]
    assert held_nats(held, held) < often_nats(held, held) / 2


def test_from_files_to_a_composed_file_by_commands(tmp_path, capsys):
    write_midi(tune(2), tmp_path / "prompt.mid")
    (tmp_path / "tunes.json").write_text(json.dumps([t.steps for t in TUNES]))
    small = ["--set", "model.hidden_size=8", "--set", "training.max_steps=3"]
    at = str(tmp_path / "run")
    assert run(["fit", "music", str(tmp_path / "tunes.json"), "--out", at, *small]) == 0
    said = capsys.readouterr().out
    assert "whether each key is held" in said
    assert "this model" in said
    outputs = [str(tmp_path / name) for name in ("new.mid", "new.png")]
    command = ["compose", at, "--prompt", str(tmp_path / "prompt.mid"), "--prompt-steps", "4"]
    files = ["--out", outputs[0], "--plot", outputs[1], "--length", "5", "--seed", "1"]
    assert run([*command, *files, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["files"] == outputs
    assert [tuple(step) for step in result["steps"][:4]] == list(tune(2).steps[:4])
    assert len(result["steps"]) == 9
    assert (tmp_path / "new.png").read_bytes().startswith(b"\x89PNG")
    assert run(["compose", at, "--out", str(tmp_path / "a.json"), "--length", "3"]) == 0
    assert len(read_music(tmp_path / "a.json").train[0]) == 3
    capsys.readouterr()
    assert run(["compose", at, "--out", "a.wav"]) == 2
    assert "ends in .mid, .midi or .json" in capsys.readouterr().err
