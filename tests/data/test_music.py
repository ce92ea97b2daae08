import json
import sys

import numpy as np
import pytest

from ostinato.data.music import (
    LOWEST,
    Music,
    MusicError,
    Piece,
    read_music,
    transposed,
    write_json,
    write_midi,
)
from ostinato.extras import MissingExtraError

TUNE = Piece(((60, 64), (60, 65), (), (48, 108)))


def test_a_roll_is_the_piece_and_back():
    roll = TUNE.roll()
    assert roll.shape == (4, 88)
    assert roll.sum(axis=1).tolist() == [2, 2, 0, 2]
    assert roll[0, 60 - LOWEST] == 1
    assert Piece.of_roll(roll).steps == TUNE.steps


@pytest.mark.parametrize("grid", [1, 4])
def test_midi_brings_the_piece_back(tmp_path, grid):
    path = tmp_path / "tune.mid"
    write_midi(TUNE, path, steps_per_quarter=grid)
    (again,) = read_music(path, steps_per_quarter=grid).train
    assert again.steps == TUNE.steps


def test_a_coarser_grid_joins_steps_and_silence_before_the_first_note_is_left_out(tmp_path):
    path = tmp_path / "tune.mid"
    write_midi(Piece(((), (), (60,), (60,), (62,), (62,))), path, steps_per_quarter=2)
    (again,) = read_music(path, steps_per_quarter=1).train
    assert again.steps == ((60,), (62,))


def test_a_held_note_is_one_note_in_midi(tmp_path):
    symusic = pytest.importorskip("symusic")
    write_midi(Piece(((60,), (60,), (), (60,))), tmp_path / "a.mid", tempo=100)
    score = symusic.Score(str(tmp_path / "a.mid"))
    notes = [(n.start // 480, n.duration // 480, n.pitch) for n in score.tracks[0].notes]
    assert notes == [(0, 2, 60), (3, 1, 60)]
    assert score.tempos[0].qpm == pytest.approx(100, rel=1e-4)


def test_drums_are_no_notes(tmp_path):
    symusic = pytest.importorskip("symusic")
    score = symusic.Score(480)
    for is_drum, pitch in ((True, 40), (False, 60)):
        track = symusic.Track("x", 0, is_drum)
        track.notes.append(symusic.Note(0, 480, pitch, 80))
        score.tracks.append(track)
    score.dump_midi(str(tmp_path / "a.mid"))
    assert read_music(tmp_path / "a.mid").train[0].steps == ((60,),)


def test_json_holds_a_piece_pieces_or_parts(tmp_path):
    steps = [[60, 64], [], [62]]
    for content, counts in (
        (steps, (1, 0, 0)),
        ([steps, steps], (2, 0, 0)),
        ({"train": [steps], "valid": [steps, steps], "test": [steps]}, (1, 2, 1)),
    ):
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        music = read_music(path)
        assert tuple(map(len, (music.train, music.validation, music.held_out))) == counts
        assert (music.train[0]).steps == ((60, 64), (), (62,))


def test_a_folder_and_a_list_join_all(tmp_path):
    (tmp_path / "below").mkdir()
    write_json(TUNE, tmp_path / "below" / "a.json")
    write_midi(TUNE, tmp_path / "b.MID")
    (tmp_path / "notes.txt").write_text("no music")
    music = read_music([tmp_path, TUNE])
    assert [piece.steps for piece in music.train] == [TUNE.steps] * 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[[60], ", "is not JSON"),
        ("a.json", "3", "must be a list of pieces, got int"),
        ("a.json", "[]", "no piece of music"),
        ("a.json", "[[[60], 3]]", r"a\.json\[0\], step 1: a step is a list of MIDI numbers, got 3"),
        (
            "a.json",
            "[[60], [20]]",
            r"a\.json, step 1: notes are whole MIDI numbers in 21...108, got 20",
        ),
        ("a.json", "[[60.5]]", "got 60.5"),
        ("a.json", '{"trian": []}', "has a part 'trian'. Known: train"),
        ("a.json", '{"train": [[]]}', r"train\[0\] is no piece"),
        ("a.mid", "MThd", "not a whole MIDI file"),
        ("a.mid", "this is a text and no music at all", "not a whole MIDI file"),
    ],
)
def test_broken_music_is_named_with_its_place(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(MusicError, match=message):
        read_music(tmp_path / name)


def test_missing_and_empty_places_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_music(tmp_path / "nope.mid")
    with pytest.raises(MusicError, match="holds no"):
        read_music(tmp_path)


def test_a_midi_file_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "symusic", None)
    (tmp_path / "a.mid").write_bytes(b"MThd")
    with pytest.raises(MissingExtraError, match=r"ostinato\[music\]"):
        read_music(tmp_path / "a.mid")


def test_transposing_moves_all_notes_or_none():
    assert Piece.of_roll(transposed(TUNE.roll(), -3)).steps[0] == (57, 61)
    # the highest key has nowhere to go
    np.testing.assert_array_equal(transposed(TUNE.roll(), 1), TUNE.roll())
    np.testing.assert_array_equal(transposed(TUNE.roll(), 0), TUNE.roll())


def test_music_without_parts_is_all_for_training():
    assert read_music(TUNE) == Music((TUNE,))
