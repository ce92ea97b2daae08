"""JAX and ONNX Runtime on the same numbers, where they are installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor, nn

from measure import Contestant
from subjects import Batch

__all__ = ["jax_contestant", "missing", "onnx_contestant", "onnx_session"]

_NEEDED = {"jax": ("jax",), "onnxruntime": ("onnxruntime", "onnx")}


def missing() -> list[str]:
    """Peers that are not installed here."""
    return [name for name, needs in _NEEDED.items() if not all(map(_there, needs))]


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# JAX: a scan, the product of the inputs before it


def jax_contestant(layer: nn.Module, batch: Batch, *, train: bool) -> Contestant | None:
    """`lax.scan` under `jit`; None without JAX."""
    if "jax" in missing():
        return None
    import jax

    # no look for accelerators, which warns where there is none
    jax.config.update("jax_platforms", "cpu")
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = [jax.numpy.asarray(getattr(layer, n).detach().numpy()) for n in names]
    x = jax.numpy.asarray(batch.x.detach().numpy())
    dy = jax.numpy.asarray(batch.dy.numpy())
    net = _jax_net(type(layer).__name__)

    def both(x: Any, weights: Any) -> Any:
        y, back = jax.vjp(net, x, weights)
        return y, back(dy)

    function = jax.jit(both if train else net)

    def run() -> Any:
        return jax.block_until_ready(function(x, weights))

    def results() -> list[Tensor]:
        leaves = jax.tree_util.tree_leaves(run())
        return [torch.from_numpy(jax.device_get(leaf).copy()) for leaf in leaves]

    return Contestant("jax scan", run, results)


def _jax_net(kind: str) -> Any:
    import jax
    from jax import lax
    from jax import numpy as jnp

    def lstm(state: Any, drive: Any, w: Any, b: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(drive + h @ w.T + b, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(state: Any, drive: Any, w: Any, b: Any) -> Any:
        (h,) = state
        xr, xz, xn = jnp.split(drive, 3, axis=-1)
        hr, hz, hn = jnp.split(h @ w.T + b, 3, axis=-1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        h = (1 - z) * jnp.tanh(xn + r * hn) + z * h
        return (h,), h

    def rnn(state: Any, drive: Any, w: Any, b: Any) -> Any:
        h = jnp.tanh(drive + state[0] @ w.T + b)
        return (h,), h

    step = {"LSTM": lstm, "GRU": gru, "RNN": rnn}[kind]

    def net(x: Any, weights: Any) -> Any:
        w_ih, w_hh, b_ih, b_hh = weights
        zero = jnp.zeros((x.shape[1], w_hh.shape[1]), x.dtype)
        start = (zero, zero) if kind == "LSTM" else (zero,)
        drives = x @ w_ih.T + b_ih
        return lax.scan(lambda s, d: step(s, d, w_hh, b_hh), start, drives)[1]

    return net


# ONNX Runtime: its own LSTM, GRU and RNN, inference only


def onnx_session(layer: nn.Module, T: int, B: int) -> Any:
    """A session of one recurrent node with inputs x [T, B, I] and first states [1, B, H]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # its idle threads would take the cores from whoever runs next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = _onnx_model(layer, T, B).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_contestant(layer: nn.Module, batch: Batch) -> Contestant | None:
    """Inference by ONNX Runtime; None without it."""
    if "onnxruntime" in missing():
        return None
    B, T, _, H = batch.shape
    session = onnx_session(layer, T, B)
    zero = torch.zeros(1, B, H).numpy()
    feeds = {given.name: zero for given in session.get_inputs()} | {"x": batch.x.detach().numpy()}

    def run() -> Any:
        return session.run(["y"], feeds)

    return Contestant("onnxruntime", run, lambda: [torch.from_numpy(run()[0])[:, 0]])


def _onnx_model(layer: Any, T: int, B: int) -> Any:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind, width, hidden = type(layer).__name__, layer.input_size, layer.hidden_size
    # onnx has the gates i o f g, and z r n
    order = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}[kind]

    def gates(value: Tensor) -> Tensor:
        parts = value.detach().chunk(len(order))
        return torch.cat([parts[n] for n in order])

    made = {
        "w": gates(layer.weight_ih_l0)[None],
        "r": gates(layer.weight_hh_l0)[None],
        "b": torch.cat([gates(layer.bias_ih_l0), gates(layer.bias_hh_l0)])[None],
    }
    firsts = ["h", "c"] if kind == "LSTM" else ["h"]
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    outputs = ["y", *(f"{name}_new" for name in firsts)]
    node = helper.make_node(
        kind, ["x", "w", "r", "b", "", *firsts], outputs, hidden_size=hidden, **extra
    )

    def told(name: str, *shape: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        kind,
        [told("x", T, B, width), *(told(name, 1, B, hidden) for name in firsts)],
        [told("y", T, 1, B, hidden), *(told(name, 1, B, hidden) for name in outputs[1:])],
        [numpy_helper.from_array(value.numpy(), name) for name, value in made.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    # runtimes are a version behind what the newest writer would ask for
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model
