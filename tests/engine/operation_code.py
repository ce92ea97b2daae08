"""Machine code of single operations, for the tests of the table."""

import functools

import numpy as np
import torch

from ostinato.engine import operations
from ostinato.engine.llvm import maths
from ostinato.engine.llvm.compile import compile_text, host_target
from ostinato.engine.llvm.text import Function, Module

ELEMENTS = {torch.float32: "float", torch.float64: "double"}


def levels():
    for level in ("avx512", "avx2", "sse2", "neon"):
        try:
            host_target(level)
        except ValueError:
            continue
        yield level


LEVELS = list(levels())


@functools.cache
def library(dtype, level):
    """One function for each operation: out[i] = op(a[i], b[i], c[i]) for `n` whole vectors."""
    target = host_target(level)
    module = Module(target, ELEMENTS[dtype])
    for name, operation in operations.POINTWISE.items():
        f = Function(module, f"op_{name}", ("ptr", "i64"), public=True)
        table, count = f.arguments
        pointers = [f.pointer(table, n) for n in range(operation.arity + 1)]

        def body(n, _, f=f, name=name, pointers=pointers):
            at = f.mul(n, module.lanes)
            loaded = [f.load(f.at(pointer, at)) for pointer in pointers[:-1]]
            f.store(maths.lower(f, name, loaded), f.at(pointers[-1], at))

        f.loop(0, count, body)
        f.finish()
    names = [f"op_{name}" for name in operations.POINTWISE]
    return compile_text(str(module), target, names), module.lanes


def compiled(name, *operands, level=""):
    """An operation of the table on tensors of one length, by machine code."""
    made, lanes = library(operands[0].dtype, level or LEVELS[0])
    count = len(operands[0])
    vectors = -(-count // lanes)
    filled = [torch.nn.functional.pad(value, (0, vectors * lanes - count)) for value in operands]
    result = torch.empty_like(filled[0])
    table = np.array([t.data_ptr() for t in (*filled, result)], dtype=np.int64)
    made.functions[f"op_{name}"](table.ctypes.data, vectors)
    return result[:count]
