import pytest
import torch

from ostinato.engine import algebra
from ostinato.engine.expressions import Matrix, make, walk_nodes
from ostinato.engine.interpret import evaluate
from ostinato.engine.sharing import share_products

LEAVES = {
    "state": [torch.randn(3, 5, dtype=torch.float64)],
    "vector": [torch.randn(16, 5, dtype=torch.float64)],
}
H = make("state", (), 5, (0, 0))
WHOLE = algebra.matmul(H, Matrix(0, 0, 0, 16, 5))


def rows_computed(roots):
    return sum(node.width for node in walk_nodes(roots) if node.op == "matmul")


@pytest.mark.parametrize("bounds", [(0, 8), (4, 12), (2, 16)])
def test_a_product_and_a_part_of_it_are_computed_once(bounds):
    norm = algebra.sum_(algebra.mul(WHOLE, WHOLE))
    part = algebra.pointwise("tanh", algebra.slice_(WHOLE, *bounds))
    roots = [norm, part]
    assert rows_computed(roots) == 16 + bounds[1] - bounds[0]
    new = share_products(roots)
    shared = [new[root] for root in roots]
    assert rows_computed(shared) == 16
    for old, root in zip(roots, shared, strict=True):
        torch.testing.assert_close(evaluate([root], LEAVES)[root], evaluate([old], LEAVES)[old])


def test_products_that_do_not_overlap_stay_as_they_are():
    roots = [algebra.pointwise("tanh", algebra.slice_(WHOLE, k, k + 4)) for k in range(0, 16, 4)]
    assert [share_products(roots)[root] for root in roots] == roots


def test_a_sliver_is_computed_again_rather_than_cutting_all():
    roots = [algebra.pointwise("tanh", WHOLE), algebra.slice_(WHOLE, 3, 4)]
    assert [share_products(roots)[root] for root in roots] == roots
