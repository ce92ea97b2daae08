import pytest
import torch
from torch.autograd import gradcheck

from ostinato.layers.attention import (
    AdditiveAttention,
    ConcatAttention,
    DotAttention,
    GeneralAttention,
    attention_by_name,
)

KINDS = ("additive", "dot", "general", "concat")
T, S, B, Q = 3, 5, 2, 4


def made(kind, memory_size=Q):
    torch.manual_seed(0)
    attend = attention_by_name(kind, Q, memory_size).double()
    values = torch.randn(S, B, memory_size, dtype=torch.float64)
    return attend, values, torch.randn(T, B, Q, dtype=torch.float64)


def score_by_hand(attend, h, s):
    """The score of one query against one step of the memory, as the papers write it."""
    if isinstance(attend, DotAttention):
        return h @ s
    if isinstance(attend, GeneralAttention):
        return h @ attend.key.weight @ s
    if isinstance(attend, AdditiveAttention):
        drive = attend.query.weight @ h + attend.key.weight @ s
        return attend.score.weight[0] @ torch.tanh(drive)
    assert isinstance(attend, ConcatAttention)
    return attend.score.weight[0] @ torch.tanh(attend.both.weight @ torch.cat([h, s]))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_contexts_are_those_of_the_papers(kind):
    attend, values, queries = made(kind)
    lengths = [5, 3]
    contexts, weights = attend(queries, attend.memory(values, lengths))
    for t in range(T):
        for b in range(B):
            steps = values[: lengths[b], b]
            p = torch.stack([score_by_hand(attend, queries[t, b], s) for s in steps]).softmax(0)
            torch.testing.assert_close(weights[t, b, : lengths[b]], p)
            torch.testing.assert_close(contexts[t, b], p @ steps)
            assert (weights[t, b, lengths[b] :] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_may_hold_anything_finite_and_gets_no_gradient(kind):
    attend, values, queries = made(kind)
    values.requires_grad_()
    contexts, _ = attend(queries, attend.memory(values, [5, 3]))
    other = values.detach().clone()
    other[3:, 1] = 1e3
    torch.testing.assert_close(attend(queries, attend.memory(other, [5, 3]))[0], contexts)
    (gradient,) = torch.autograd.grad(contexts.sum(), values)
    assert (gradient[3:, 1] == 0).all()
    assert (gradient[:3, 1] != 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_without_steps_gives_zeros_and_no_nan(kind):
    attend, values, queries = made(kind)
    values.requires_grad_()
    contexts, weights = attend(queries, attend.memory(values, [4, 0]))
    assert (contexts[:, 1] == 0).all()
    assert (weights[:, 1] == 0).all()
    (gradient,) = torch.autograd.grad(contexts.sum(), values)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_and_several_questions_of_one_row_give_the_same_numbers(kind):
    attend, values, queries = made(kind)
    memory = attend.memory(values, [5, 3])
    contexts, weights = attend(queries, memory)
    one, its = attend(queries[1], memory)
    torch.testing.assert_close(one, contexts[1])
    torch.testing.assert_close(its, weights[1])
    several = queries.transpose(0, 1).reshape(B * T, Q)
    torch.testing.assert_close(attend(several, memory)[0].view(B, T, Q), contexts.transpose(0, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    attend, values, queries = made(kind)

    def contexts(values, queries):
        return attend(queries, attend.memory(values, [5, 3]))[0]

    assert gradcheck(contexts, (values.requires_grad_(), queries.requires_grad_()))


def test_the_memory_of_some_rows():
    attend, values, queries = made("additive")
    memory = attend.memory(values, [5, 3]).select(torch.tensor([1, 1]))
    both = attend(queries[0, [1, 1]], memory)[0]
    torch.testing.assert_close(both[0], attend(queries, attend.memory(values, [5, 3]))[0][0, 1])
    torch.testing.assert_close(both[0], both[1])


def test_concat_is_additive_with_both_matrices_in_one():
    concat, values, queries = made("concat", memory_size=6)
    additive = made("additive", memory_size=6)[0]
    with torch.no_grad():
        additive.query.weight.copy_(concat.both.weight[:, :Q])
        additive.key.weight.copy_(concat.both.weight[:, Q:])
        additive.score.weight.copy_(concat.score.weight)
    torch.testing.assert_close(
        additive(queries, additive.memory(values))[1], concat(queries, concat.memory(values))[1]
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be equally wide, got 4 and 6"):
        DotAttention(4, 6)
    with pytest.raises(ValueError, match="one of additive, dot, general, concat, got 'luong'"):
        attention_by_name("luong", 4, 4)
    attend = GeneralAttention(4, 6)
    with pytest.raises(ValueError, match=r"must be \[time, batch, 6\], got \[5, 2, 4\]"):
        attend.memory(torch.zeros(5, 2, 4))
    with pytest.raises(ValueError, match=r"lengths must be in 0\.\.5"):
        attend.memory(torch.zeros(5, 2, 6), [6, 1])
