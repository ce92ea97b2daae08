"""Whatever a cell's equations come from changes its key; what cannot be told has none."""

import dataclasses
import importlib
import math
import random
import sys
import time

import pytest
import torch
from custom_cells import CELLS
from torch import nn

from ostinato import cells
from ostinato.engine import origin
from ostinato.engine.origin import Untold, origin_of, own_source

I, H = 3, 4  # noqa: E741

HELPER = """
import math
import torch

SHIFT = 0.25
TABLE = {"a": [1.0, 2.0]}


class Settings:
    slope = 2.0


def squash(x):
    return torch.tanh(x) * inner(x)


def inner(x):
    return x * Settings.slope + TABLE["a"][0]
"""
CELL = """
import torch
from torch import nn
from torch.nn import functional as F
import helper_HASH as helper
from helper_HASH import squash

GAIN = 0.5


def scaled(value, by=2.0):
    return value * by


class Base(nn.Module):
    def mix(self, x, h):
        return self.W(x) + self.U(h)


class Mine(Base):
    LIMIT = 3.0

    def __init__(self, input_size=3, hidden_size=4):
        super().__init__()
        self.W = nn.Linear(input_size, hidden_size)
        self.U = nn.Linear(hidden_size, hidden_size)
        self.leak = 0.1
        self.activation = torch.tanh

    @property
    def rate(self):
        return self.leak * 2

    def forward(self, x, h):
        new = self.activation(self.mix(x, h)) + GAIN * scaled(squash(h))
        new = F.relu(new) if helper.SHIFT > 1 else new + helper.SHIFT
        return h + self.rate * new.clamp(max=self.LIMIT)
"""
CHANGES = {
    "forward": ("cell", "h + self.rate * new", "h - self.rate * new"),
    "a number in forward": ("cell", "helper.SHIFT > 1", "helper.SHIFT > 2"),
    "a method of the base": ("cell", "self.W(x) + self.U(h)", "self.W(x) - self.U(h)"),
    "a property": ("cell", "self.leak * 2", "self.leak * 3"),
    "a constant of the class": ("cell", "LIMIT = 3.0", "LIMIT = 2.0"),
    "a global constant": ("cell", "GAIN = 0.5", "GAIN = 0.6"),
    "a function": ("cell", "return value * by", "return value + by"),
    "a default": ("cell", "by=2.0", "by=3.0"),
    "an attribute": ("cell", "self.leak = 0.1", "self.leak = 0.2"),
    "an activation": ("cell", "activation = torch.tanh", "activation = torch.sigmoid"),
    "the base": ("cell", "class Mine(Base)", "class Mine(nn.Module)"),
    "a shape": ("cell", "hidden_size=4", "hidden_size=5"),
    "a helper": ("helper", "torch.tanh(x) *", "torch.sigmoid(x) *"),
    "a helper's helper": ("helper", "return x * Settings", "return x + Settings"),
    "a helper's constant": ("helper", "SHIFT = 0.25", "SHIFT = 0.5"),
    "a helper's class": ("helper", "slope = 2.0", "slope = 3.0"),
    "a helper's table": ("helper", '"a": [1.0', '"a": [1.5'),
}


@pytest.fixture(autouse=True)
def _one_source(request, monkeypatch):
    """Nobody's edits of our own files, while the tests run, matter here."""
    if "edited" not in request.node.name:
        monkeypatch.setattr(origin, "own_source", lambda: "ours")


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Makes the cell of the two sources, each time in modules of the same names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    number = random.randrange(10**9)
    names = {"helper": f"helper_{number}", "cell": f"cell_{number}"}

    def make(**sources):
        texts = {"helper": HELPER, "cell": CELL} | sources
        for part, name in names.items():
            text = texts[part].replace("helper_HASH", names["helper"])
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(names["cell"]).Mine()

    yield make
    for name in names.values():
        sys.modules.pop(name, None)


def key_of(cell, width=None, state=None, dtype=torch.float32):
    state = H if state is None else state
    return origin_of(
        cell, torch.zeros(1, width or I, dtype=dtype), (torch.zeros(1, state, dtype=dtype),)
    )


def test_the_same_sources_have_the_same_key(build):
    first = key_of(build())
    assert first == key_of(build())
    assert first == key_of(
        build(cell="# a word\n\n" + CELL.replace("    LIMIT", "    # limit\n    LIMIT"))
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_source_changes_the_key(change, build):
    part, old, new = CHANGES[change]
    source = {"helper": HELPER, "cell": CELL}[part]
    assert old in source
    assert key_of(build()) != key_of(build(**{part: source.replace(old, new)}))


def test_changes_of_the_live_cell_change_the_key(build):
    cell = build()
    world = sys.modules[type(cell).__module__]
    keys = [key_of(cell), key_of(cell.eval()), key_of(cell, dtype=torch.float64)]
    cell.train()
    world.GAIN = 0.7
    keys.append(key_of(cell))
    cell.leak = 0.3
    keys.append(key_of(cell))
    cell.forward = lambda x, h: h
    keys.append(key_of(cell))
    cell.register_buffer("extra", torch.zeros(2))
    keys.append(key_of(cell))
    cell.U.weight = cell.W.bias
    keys.append(key_of(cell))
    assert len(set(keys)) == len(keys)


def test_tied_parameters_are_told_from_equal_ones():
    class Tied(nn.Module):
        def __init__(self, tie):
            super().__init__()
            self.a, self.b = nn.Linear(H, H), nn.Linear(H, H)
            if tie:
                self.b.weight = self.a.weight

        def forward(self, x, h):
            return self.a(h) + self.b(h)

    assert key_of(Tied(True)) != key_of(Tied(False))


def test_values_of_parameters_do_not_count():
    cell = cells.GRU(I, H)
    before = key_of(cell)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(1)
    assert key_of(cell) == before


class Scale:
    by = 2.0


SCALE = Scale()
NUMBERS = random.Random(0)


@dataclasses.dataclass
class Told:
    by: float = 2.0


def through_object(x, h):
    return h * SCALE.by


def through_getattr(x, h):
    return h * getattr(math, "pi")  # noqa: B009


def through_globals(x, h):
    return h * globals()["SCALE"].by


def through_import(x, h):
    import math as numbers

    return h * numbers.pi


def through_chance(x, h):
    return h * NUMBERS.random()


UNTOLD = [through_object, through_getattr, through_globals, through_import, through_chance]


class Calling(nn.Module):
    def __init__(self, function, held=None):
        super().__init__()
        self.function, self.held = function, held

    def forward(self, x, h):
        return self.function(x, h)


@pytest.mark.parametrize("function", UNTOLD)
def test_what_cannot_be_told_for_certain_has_no_key(function):
    with pytest.raises(Untold):
        key_of(Calling(function))


@pytest.mark.parametrize("held", [Scale(), Told(), torch.ones(2), nn.Linear(1, 1).forward, NUMBERS])
def test_attributes_that_cannot_be_told_leave_no_key(held):
    with pytest.raises(Untold):
        key_of(Calling(torch.add, held))


def test_closures_count_by_what_they_hold():
    def closed(by):
        return lambda x, h: h * by

    assert key_of(Calling(closed(2.0))) == key_of(Calling(closed(2.0)))
    assert key_of(Calling(closed(2.0))) != key_of(Calling(closed(3.0)))
    with pytest.raises(Untold):
        key_of(Calling(closed(torch.ones(1))))


def test_a_function_of_torchs_that_someone_exchanged_is_not_torchs(monkeypatch):
    cell = cells.by_name("indrnn")(I, H)
    key_of(cell)
    monkeypatch.setattr(nn.Module, "zero_grad", lambda self: None)
    with pytest.raises(Untold):
        key_of(cell)


@pytest.mark.parametrize("name", cells.NAMES)
def test_our_own_cells_have_keys(name):
    cell, other = (cells.by_name(name)(I, H) for _ in range(2))
    sizes = cell.state_sizes
    x, state = torch.zeros(1, I), tuple(torch.zeros(1, size) for size in sizes)
    assert origin_of(cell, x, state) == origin_of(other, x, state)


def test_strangers_cells_have_keys_of_their_own():
    keys = set()
    for make, width, sizes in CELLS.values():
        keys.add(origin_of(make(), torch.zeros(1, width), tuple(torch.zeros(1, s) for s in sizes)))
    assert len(keys) == len(CELLS)


def test_sources_edited_since_the_process_began_are_not_trusted(monkeypatch):
    own_source.cache_clear()
    assert 0 < origin._BEGUN <= time.time()
    monkeypatch.setattr(origin, "_BEGUN", time.time() + 1)
    assert len(own_source()) == 64
    own_source.cache_clear()
    monkeypatch.setattr(origin, "_BEGUN", 0.0)
    with pytest.raises(Untold, match="edited"):
        key_of(cells.GRU(I, H))
    own_source.cache_clear()
