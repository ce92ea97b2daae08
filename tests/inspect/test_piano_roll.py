import pytest

from ostinato.data.music import Piece
from ostinato.inspect.piano_roll import _bars, draw_piano_roll

PIECE = Piece(((60, 64), (60,), (60,), ()))


def test_a_held_note_is_one_bar_which_a_prompt_cuts():
    assert _bars(PIECE, 0) == [(0, 3, 60, False), (0, 1, 64, False)]
    assert _bars(PIECE, 2) == [(0, 2, 60, True), (0, 1, 64, True), (2, 1, 60, False)]


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.html"])
@pytest.mark.parametrize("piece", [PIECE, Piece(())])
def test_a_piece_is_drawn(tmp_path, name, piece):
    draw_piano_roll(piece, tmp_path / name, given=min(2, len(piece)), title="A tune")
    text = (tmp_path / name).read_bytes()
    assert name.endswith("png") or b"A tune" in text
