import pytest

from ostinato.engine import algebra
from ostinato.engine.expressions import Matrix, make
from ostinato.engine.llvm.cuts import Cuts

H = make("state", (), 4, (0, 0))
PRODUCT = algebra.matmul(H, Matrix(0, 2, 0, 6, 4))
TURNED = algebra.matmul(H, Matrix(0, 0, 3, 4, 6, transposed=True))
VALUE = algebra.mul(algebra.pointwise("tanh", PRODUCT), make("vector", (), 6, (1, 1)))


@pytest.mark.parametrize("whole", [PRODUCT, TURNED, VALUE], ids=["product", "turned", "value"])
@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 6), (5, 6)])
def test_a_part_is_found_in_its_whole(whole, start, stop):
    part = algebra.slice_(whole, start, stop)
    assert Cuts([H, PRODUCT, TURNED, VALUE]).find(part) == (whole, start)


def test_what_is_no_part_is_not_found():
    cuts = Cuts([PRODUCT, VALUE])
    other = algebra.matmul(H, Matrix(1, 2, 0, 3, 4))
    beyond = algebra.matmul(H, Matrix(0, 7, 0, 3, 4))
    moved = algebra.mul(
        algebra.pointwise("tanh", algebra.slice_(PRODUCT, 0, 2)), make("vector", (), 2, (1, 2))
    )
    assert [cuts.find(node) for node in (other, beyond, moved, PRODUCT, H)] == [None] * 5


def test_a_part_whose_operands_are_cut_elsewhere_is_not_found():
    a, b = (algebra.slice_(PRODUCT, k, k + 2) for k in (0, 3))
    whole = algebra.add(PRODUCT, PRODUCT)
    assert Cuts([whole]).find(algebra.add(a, a)) == (whole, 0)
    assert Cuts([whole]).find(algebra.add(a, b)) is None
