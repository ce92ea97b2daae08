import pytest
import torch
from against_eager import make_call, results, walk_fused

from ostinato import cells
from ostinato.engine import algebra
from ostinato.engine.adjoint import adjoint
from ostinato.engine.expressions import Matrix, make, walk_nodes
from ostinato.engine.interpret import evaluate
from ostinato.engine.llvm.backward import Backward
from ostinato.engine.llvm.forward import Forward
from ostinato.engine.llvm.saved import choose_saved
from ostinato.engine.sums import Sums
from ostinato.engine.trace import trace

W = 6
A, B = (algebra.matmul(make("state", (), W, (k, 0)), Matrix(0, k, 0, W, W)) for k in range(2))
G = make("gradient", (), W, (0, 0))
SCALE, MEAN = (make("state", (), 1, (2, k)) for k in range(2))
TOGETHER = algebra.sum_(algebra.add(A, B))
LEAVES = {
    "state": [torch.randn(4, n, dtype=torch.float64) for n in (W, W, 2)],
    "gradient": [torch.randn(4, W, dtype=torch.float64)],
    "vector": [torch.randn(W + 1, W, dtype=torch.float64)],
}


def centred(a):
    return algebra.sub(a, MEAN)


VALUES = {
    "scaled gradient": [algebra.mul(G, SCALE)],
    "negative": [algebra.neg(algebra.div(algebra.mul(SCALE, G), MEAN))],
    "as a norm's": [
        algebra.sub(algebra.mul(G, SCALE), algebra.mul(MEAN, centred(A))),
        algebra.neg(algebra.mul(MEAN, centred(B))),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_sum_is_that_of_its_terms(name):
    values = VALUES[name]
    found = Sums(walk_nodes([TOGETHER])).total(values)
    value = evaluate([found, *values], LEAVES)
    wanted = sum(value[v] for v in values).sum(-1, keepdim=True)
    torch.testing.assert_close(value[found], wanted)
    # nothing that is equal for all units is multiplied before it is summed
    sums = [node.args[0] for node in walk_nodes([found]) if node.op == "sum"]
    assert sums
    assert all(arg.width == W for arg in sums)
    assert not any(arg.width == 1 for node in sums for arg in node.args)


@pytest.mark.parametrize("known", [[], [TOGETHER]])
def test_what_nobody_has_summed_is_summed_whole(known):
    whole = algebra.add(algebra.mul(G, SCALE), algebra.mul(MEAN, A))
    assert Sums(walk_nodes(known)).total([whole]) is algebra.sum_(whole)


def lstm():
    cell = cells.LSTM(3, 8, layer_norm=True)
    return trace(cell, torch.zeros(1, 3), (torch.zeros(1, 8),) * 2).program


def test_a_layer_norm_is_reversed_in_one_pass_more_than_its_sums():
    program = lstm()
    reverse = adjoint(program)
    forward = Forward(program, *choose_saved(program, reverse))
    # the norm of c, then that of the gates
    assert max(level for level, _ in Backward(program, reverse, forward).walk) == 2
    assert sum(len(block.sums) for block in forward.walk.values()) == 6


def test_numbers_of_a_row_are_not_computed_for_every_unit():
    program = lstm()
    forward = Forward(program)
    wide = [block for (_, width), block in forward.walk.items() if width > 1]
    roots = {node for block in wide for node in block.fetch}
    computed, stack = set(), [node for block in wide for node, _ in (*block.stores, *block.sums)]
    while stack:
        node = stack.pop()
        if node not in roots and node not in computed:
            computed.add(node)
            stack.extend(node.args)
    assert not any(node.width == 1 and node.op in ("sqrt", "div") for node in computed)


def test_products_of_the_input_are_read_where_they_were_made():
    program = lstm()
    reverse = adjoint(program)
    forward = Forward(program, *choose_saved(program, reverse))
    (flat,) = forward.flat
    made = {node for node, _ in flat.stores}
    assert len(made) == 4
    assert not any(node in made for block in forward.walk.values() for node, _ in block.stores)


def test_gradients_of_gains_are_added_up_and_not_written_down():
    program = lstm()
    reverse = adjoint(program)
    back = Backward(program, reverse, Forward(program, *choose_saved(program, reverse)))
    # written are the gradients of the eight products alone
    assert sum(back.slots.values()) == 8
    assert len(back.row_sums) == len(reverse.vectors)
    assert {one.place.row for one in back.row_sums} == {"local"}


def test_gradients_of_gains_are_the_same_on_any_number_of_threads():
    before = torch.get_num_threads()
    torch.manual_seed(0)
    cell, found = cells.LSTM(64, 100, layer_norm=True), []
    lengths = torch.tensor([20, 3, 17, 9, 20, 1, 12])
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            call = make_call(cell, (100, 100), I=64, T=20, B=7, lengths=lengths)
            found.append(results(call, walk_fused(call)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in found[0])
