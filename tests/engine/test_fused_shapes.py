"""Odd sizes, numbers of rows and steps, and vector widths: where tiles and masks begin and end."""

import dataclasses

import pytest
import torch
from against_eager import compare, make_call, padded, walk_fused

from ostinato import cells
from ostinato.engine import run
from ostinato.engine.llvm.compile import host_target


def fits(level):
    try:
        host_target(level)
    except ValueError:
        return False
    return True


LEVELS = [level for level in ("avx512", "avx2", "sse2", "neon") if fits(level)]
BATCHES = (1, 2, 3, 5, 7, 16, 33)
WIDTHS = (1, 3, 8, 16, 17, 31, 64, 100, 128)
MAKE = {
    "lstm": lambda I, H: cells.LSTM(I, H),  # noqa: E741
    "gru": lambda I, H: cells.GRU(I, H, bias="both"),  # noqa: E741
    "mgu": lambda I, H: cells.MGU(I, H),  # noqa: E741
    "norm": lambda I, H: cells.Elman(I, H, layer_norm=True),  # noqa: E741
}


def tried(name, H, B, *, I=4, T=3, dtype=torch.float32, target="", **options):  # noqa: E741
    torch.manual_seed(H)
    cell = MAKE[name](I, H)
    call = make_call(cell, cell.state_sizes, I=I, T=T, B=B, dtype=dtype, seed=B, **options)
    compare(call, target)


@pytest.mark.parametrize("B", BATCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("name", MAKE)
def test_any_number_of_rows(name, dtype, B):
    tried(name, 10, B, dtype=dtype)
    lengths = torch.arange(B) * 5 % 4
    torch.manual_seed(10)
    cell = MAKE[name](4, 10)
    call = make_call(cell, cell.state_sizes, I=4, T=3, B=B, dtype=dtype, lengths=lengths)
    compare(dataclasses.replace(call, x=padded(call.x, lengths)))


# each width with each cell, precision and vector width once in a while
WIDE = [
    pytest.param(name, H, 5, dtype, LEVELS[n % len(LEVELS)], id=f"{name} {H} {n}")
    for n, (H, name, dtype) in enumerate(
        (H, list(MAKE)[(i + j) % 4], (torch.float32, torch.float64)[(i + j) // 2 % 2])
        for i, H in enumerate(WIDTHS)
        for j in (0, 1)
    )
]


@pytest.mark.parametrize(("name", "H", "B", "dtype", "level"), WIDE)
def test_any_width(name, H, B, dtype, level):
    tried(name, H, B, dtype=dtype, target=level)


@pytest.mark.parametrize("I", [1, 2, 15, 16, 33])
def test_any_width_of_the_input(I):  # noqa: E741
    tried("gru", 5, 3, I=I)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", MAKE)
def test_every_vector_width_gives_the_reference(name, level):
    dtype = (torch.float32, torch.float64)[(list(MAKE).index(name) + LEVELS.index(level)) % 2]
    marks = torch.rand(4, 7, generator=torch.Generator().manual_seed(1)) < 0.3
    lengths = torch.tensor([4, 2, 0, 1, 3, 4, 2])
    tried(name, 21, 7, T=4, dtype=dtype, target=level)
    tried(name, 21, 7, T=4, dtype=dtype, target=level, lengths=lengths, reset=marks, reverse=True)


def test_a_vector_width_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=f"has {', '.join(LEVELS)}, not 'sve9'"):
        host_target("sve9")


@pytest.mark.parametrize("T", [1, 2, 300])
@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_any_number_of_steps(name, T):
    tried(name, 3, 2, T=T, dtype=torch.float64)
    tried(name, 3, 2, T=T, dtype=torch.float64, reverse=True, lengths=torch.tensor([T // 2, T]))


@pytest.mark.parametrize(
    ("T", "B", "lengths"),
    [(0, 3, None), (2, 0, None), (0, 0, None), (2, 3, [0, 0, 0])],
)
def test_nothing_to_walk_gives_empty_outputs_and_the_states_back(T, B, lengths):
    cell = cells.LSTM(4, 5)
    given = None if lengths is None else torch.tensor(lengths)
    for reset in (None, torch.ones(T, B, dtype=torch.bool)):
        call = make_call(cell, (5, 5), I=4, T=T, B=B, lengths=given, reset=reset)
        walk = run(call)
        assert walk.output.shape == (T, B, 5)
        assert not walk.output.any()
        assert [part.shape for part in walk.states] == [(T, B, 5)] * 2
        assert all(map(torch.equal, walk.state, call.state))
        sum(part.sum() for part in walk.state).backward()
        assert (call.state[0].grad == 1).all()


def test_no_hidden_states_are_asked_for_and_none_come():
    torch.manual_seed(1)
    cell = cells.LSTM(4, 5)
    compare(make_call(cell, (5, 5), I=4, all_states=False))
    compare(make_call(cell, (5, 5), I=4, all_states=False, lengths=torch.tensor([2, 0, 5])))
    assert walk_fused(make_call(cell, (5, 5), I=4, all_states=False)).states is None


@pytest.mark.parametrize(("T", "B"), [(700, 16), (2500, 3)])
def test_long_sequences_that_are_walked_in_pieces(T, B):
    torch.manual_seed(4)
    for cell in (cells.LSTM(3, 24), cells.GRU(3, 24)):
        options = {"I": 3, "T": T, "B": B, "dtype": torch.float64, "all_states": False}
        compare(make_call(cell, cell.state_sizes, **options))
        with torch.no_grad():
            compare(make_call(cell, cell.state_sizes, **options))


@pytest.mark.parametrize("B", [2, 9])
def test_rows_do_not_leak_into_each_other_whatever_tile_they_fall_into(B):
    torch.manual_seed(6)
    one = make_call(cells.LSTM(4, 20), (20, 20), I=4, B=1)
    many = dataclasses.replace(
        one, x=one.x.expand(-1, B, -1), state=tuple(part.expand(B, -1) for part in one.state)
    )
    output = walk_fused(many).output
    # tiles of few rows add up in another order
    torch.testing.assert_close(output, output[:, :1].expand_as(output), rtol=1e-6, atol=1e-6)
