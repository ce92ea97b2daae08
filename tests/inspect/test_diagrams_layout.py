"""Boxes keep apart, and arrows keep out of them."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ostinato as ost
from ostinato import cells
from ostinato.inspect.diagrams import Arrow, Box, Graph, diagram
from ostinato.inspect.diagrams.grid import lay_on_grid
from ostinato.inspect.diagrams.layout import Size, lay_out


@st.composite
def graphs(draw):
    """Graphs without loops: arrows go from lower to higher numbers."""
    count = draw(st.integers(1, 9))
    graph = Graph("any")
    for k in range(count):
        graph.add(Box(f"b{k}", "operation", str(k)))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    for a, b in draw(st.lists(st.sampled_from(pairs), max_size=14)) if pairs else ():
        graph.join(f"b{a}", f"b{b}")
    widths = draw(st.lists(st.sampled_from([30.0, 90.0, 150.0]), min_size=count, max_size=count))
    return graph, {f"b{k}": Size(width, 30.0 + width / 5) for k, width in enumerate(widths)}


def rectangle(centre, size):
    (x, y) = centre
    return x - size.width / 2, x + size.width / 2, y - size.height / 2, y + size.height / 2


def apart(one, other):
    return one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]


def check(layout, sizes):
    places = {key: rectangle(centre, sizes[key]) for key, centre in layout.centres.items()}
    for one, other in combinations(places, 2):
        assert apart(places[one], places[other]), (one, other)
    for left, right, top, bottom in places.values():
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= layout.width + 1e-6
        assert bottom <= layout.height + 1e-6
    return places


@given(graphs())
def test_boxes_keep_apart_and_arrows_out_of_them(drawn):
    graph, sizes = drawn
    layout = lay_out(graph, sizes)
    places = check(layout, sizes)
    for arrow, path in layout.paths.items():
        # straight pieces pass layers, curves are between layers
        for (x0, y0), (x1, _) in list(pairwise(path))[::2]:
            for key, (left, right, top, bottom) in places.items():
                if key not in (arrow.source, arrow.target):
                    assert max(x0, x1) <= left or min(x0, x1) >= right or not top < y0 < bottom


@given(graphs())
def test_arrows_lead_from_box_to_box_to_the_right(drawn):
    graph, sizes = drawn
    layout = lay_out(graph, sizes)
    for arrow, path in layout.paths.items():
        x, y = layout.centres[arrow.source]
        assert path[0] == pytest.approx((x + sizes[arrow.source].width / 2, y))
        x, y = layout.centres[arrow.target]
        assert path[-1][0] == pytest.approx(x - sizes[arrow.target].width / 2)
        assert abs(path[-1][1] - y) <= sizes[arrow.target].height / 2
        assert all(a[0] <= b[0] + 1e-6 for a, b in pairwise(path))


def test_last_boxes_stand_at_the_right_end():
    graph = Graph("ends")
    for key in "abcd":
        graph.add(Box(key, "operation", key))
    graph.join("a", "b")
    graph.join("b", "c")
    graph.join("a", "d")
    sizes = dict.fromkeys("abcd", Size(40, 20))
    assert lay_out(graph, sizes).centres["d"][0] < lay_out(graph, sizes).centres["c"][0]
    ended = lay_out(graph, sizes, last=("d",))
    assert ended.centres["d"][0] == ended.centres["c"][0]


def test_arrows_in_a_circle_are_refused():
    graph = Graph("circle")
    graph.add(Box("a", "operation", "a"))
    graph.add(Box("b", "operation", "b"))
    graph.arrows += [Arrow("a", "b"), Arrow("b", "a")]
    with pytest.raises(ValueError, match="circle"):
        lay_out(graph, dict.fromkeys("ab", Size(40, 20)))


def test_crossed_order_is_uncrossed():
    graph = Graph("crossed")
    for key in ("a", "b", "c", "d"):
        graph.add(Box(key, "operation", key))
    graph.join("a", "d")
    graph.join("b", "c")
    layout = lay_out(graph, dict.fromkeys("abcd", Size(40, 20)))
    centres = layout.centres
    assert (centres["a"][1] < centres["b"][1]) == (centres["d"][1] < centres["c"][1])


@pytest.mark.parametrize("name", cells.NAMES)
def test_boxes_of_every_cell_keep_apart(name):
    from ostinato.inspect.diagrams.svg import box_size

    graph = diagram(cells.by_name(name)(3, 4)).graph
    sizes = {key: box_size(box) for key, box in graph.boxes.items()}
    check(lay_out(graph, sizes), sizes)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_unrolled_arrows_keep_out_of_boxes(layers, both):
    from ostinato.inspect.diagrams.svg import box_size

    graph = diagram(ost.LSTM(3, 4, layers, bidirectional=both), "unrolled").graph
    sizes = {key: box_size(box) for key, box in graph.boxes.items()}
    layout = lay_on_grid(graph, sizes)
    places = check(layout, sizes)
    for arrow, ((x0, y0), (x1, y1)) in layout.paths.items():
        for key, (left, right, top, bottom) in places.items():
            if key in (arrow.source, arrow.target):
                continue
            for share in range(1, 40):
                x, y = x0 + (x1 - x0) * share / 40, y0 + (y1 - y0) * share / 40
                assert not (left < x < right and top < y < bottom), (arrow, key)
