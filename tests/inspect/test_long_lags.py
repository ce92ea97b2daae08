import pytest

from ostinato.inspect.long_lags import draw_long_lags

LONGEST = {
    "adding": {"sgd": None, "lstm": 200, "esn": 25},
    "copy": {"sgd": None, "lstm": 50},
    "xor": {"lstm": None, "esn": None},
}


@pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
def test_each_kind_of_file(tmp_path, kind):
    path = tmp_path / f"map{kind}"
    draw_long_lags(LONGEST, path, title="Of three")
    content = path.read_bytes()
    assert len(content) > 1000
    if kind == ".svg":
        text = content.decode()
        for said in ("Of three", "adding", "lstm", ">200<", ">25<", ">–<", "lag in steps"):
            assert said in text
        assert text.count(">–<") == 4
    if kind == ".html":
        assert b"Of three" in content


@pytest.mark.parametrize(
    "longest", [{"copy": {"sgd": None}}, {"copy": {"sgd": 30}}], ids=["none", "one"]
)
def test_a_single_square_can_be_drawn(tmp_path, longest):
    draw_long_lags(longest, tmp_path / "map.png")
    draw_long_lags(longest, tmp_path / "map.html")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_remedies_stand_in_the_order_given(tmp_path):
    draw_long_lags(LONGEST, tmp_path / "map.svg", remedies=["esn", "sgd"])
    text = (tmp_path / "map.svg").read_text()
    assert text.index(">esn<") < text.index(">sgd<")
    assert ">lstm<" not in text


def test_nothing_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match="there is nothing to draw"):
        draw_long_lags({}, tmp_path / "map.png")
