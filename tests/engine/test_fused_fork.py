"""A process forked from one that has run kernels, on one thread and on several."""

import multiprocessing

import pytest
import torch
from test_fused_modes import layer_and_input, work


def child(layer, x, pipe):
    pipe.send(work(layer, x))
    pipe.close()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_computes_what_its_parent_does(threads):
    layer, x = layer_and_input()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        # with two threads the parent has a team of them before the fork
        wanted = work(layer, x)
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(layer, x, there))
        process.start()
        try:
            assert here.poll(20), "the child hangs"
            assert here.recv() == wanted
        finally:
            process.join(10)
            process.kill()
    finally:
        torch.set_num_threads(before)
