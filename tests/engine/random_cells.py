"""Cells nobody would think of: a random program, as the source of a module's forward.

`RandomCell(seed)` is a module; `str(cell)` is the source of its forward, to be read where it fails.
"""

import random

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = (1, 2, 3, 5, 8, 9, 17)
# each keeps to where the function is tame, so that a gradient cannot grow without end
UNARY = (
    "torch.tanh({0})",
    "torch.sigmoid({0})",
    "F.relu({0})",
    "F.softplus({0})",
    "torch.sin({0})",
    "torch.cos({0})",
    "torch.erf({0})",
    "-{0}",
    "torch.abs({0})",
    "torch.sign({0}) * {0}",
    "torch.floor({0}) + {0}",
    "torch.exp(torch.tanh({0}))",
    "torch.log(torch.abs({0}) + 0.6)",
    "torch.sqrt({0} * {0} + 0.3)",
    "torch.pow(torch.abs({0}) + 0.5, 1.7)",
    "1 - {0}",
    "0.7 * {0}",
)
BINARY = (
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} / (torch.abs({1}) + 1)",
    "torch.minimum({0}, {1})",
    "torch.maximum({0}, {1})",
    "torch.remainder({0}, torch.abs({1}) + 0.7)",
    "torch.where({0} > {1}, {0}, 0.5 * {1})",
    "torch.where({0} <= 0.1, {1}, torch.tanh({0}))",
    "({0} >= {1}) * {0}",
    "({0} < {1}) * {1} + ({0} == {1})",
    "({0} != {1}) * {0} + {1}",
    "torch.lerp({0}, {1}, torch.sigmoid({0}))",
)
REDUCTIONS = (
    "{0}.sum(-1, keepdim=True) * 0.3",
    "{0}.mean(-1, keepdim=True)",
    "F.layer_norm({0}, ({0}.shape[-1],))",
    "F.layer_norm({0}, ({0}.shape[-1],), {gain}, {shift})",
    "{0} / torch.sqrt({0}.pow(2).mean(-1, keepdim=True) + 0.5)",
)
KINDS = {
    "product": 6,
    "unary": 5,
    "binary": 6,
    "reduce": 2,
    "cat": 2,
    "chunk": 2,
    "slice": 2,
    "vector": 2,
    "again": 2,
    "fixed": 1,
}


class RandomCell(nn.Module):
    """A cell of `lines` random operations and one to three states.

    Attributes:
        input_size: I.
        state_sizes: widths of the states.
        source: of the forward, line by line.
    """

    def __init__(self, seed, lines=(4, 9)):
        super().__init__()
        self.draw = random.Random(seed)
        torch.manual_seed(seed)
        draw = self.draw
        self.input_size = draw.choice((1, 3, 4))
        few = draw.sample(WIDTHS, 3)
        self.widths = few
        self.state_sizes = tuple(draw.choice(few) for _ in range(draw.randint(1, 3)))
        names = [f"s{n}" for n in range(len(self.state_sizes))]
        self.values = [("x", self.input_size), *zip(names, self.state_sizes, strict=True)]
        self.source = [f"def forward(self, x, {', '.join(names)}):"]
        self.products = []
        for _ in range(draw.randint(*lines)):
            kind = draw.choices(list(KINDS), list(KINDS.values()))[0]
            getattr(self, f"_{kind}")()
        self._finish(names)
        scope = {"torch": torch, "F": F}
        exec("\n    ".join(self.source), scope)
        self.walked = scope["forward"]

    def __str__(self):
        return "\n    ".join(self.source)

    def forward(self, *given):
        return self.walked(self, *given)

    # parts of a line

    def _parameter(self, *shape):
        name = f"p{len(list(self.parameters()))}"
        scale = 0.8 / shape[-1] ** 0.5 if len(shape) > 1 else 0.6
        self.register_parameter(name, nn.Parameter(torch.randn(shape) * scale))
        return f"self.{name}"

    def _let(self, expression, width):
        name = f"v{len(self.source)}"
        self.source.append(f"{name} = {expression}")
        self.values.append((name, width))
        return name

    def _any(self, width=None):
        """A value, the later ones more often; of one width or of width 1, if that is asked for."""
        fitting = [v for v in self.values if width is None or v[1] in (1, width)]
        return self.draw.choices(fitting, range(1, len(fitting) + 1))[0]

    def _width(self):
        return self.draw.choice(self.widths)

    # lines

    def _product(self):
        name, inner = self._any()
        if self.draw.random() < 0.3:
            other, more = self._any()
            name, inner = f"torch.cat([{name}, {other}], -1)", inner + more
        outer = self._width()
        if self.draw.random() < 0.3:
            weight = self._parameter(inner, outer)
            self.products.append((weight, inner, outer))
            self._let(f"{name} @ {weight}", outer)
            return
        weight = self._parameter(outer, inner)
        self.products.append((f"{weight}.t()", inner, outer))
        bias = self._parameter(outer) if self.draw.random() < 0.5 else "None"
        self._let(f"F.linear({name}, {weight}, {bias})", outer)

    def _again(self):
        """A matrix used once more, as it stands or turned."""
        if not self.products:
            self._product()
            return
        weight, inner, outer = self.draw.choice(self.products)
        if self.draw.random() < 0.5:
            weight, inner, outer = f"{weight}.t()", outer, inner
        fitting = [v for v in self.values if v[1] == inner]
        if fitting:
            self._let(f"{self.draw.choice(fitting)[0]} @ {weight}", outer)

    def _fixed(self):
        """A product of what no step changes."""
        inner, outer = self._width(), self._width()
        weight, vector = self._parameter(outer, inner), self._parameter(inner)
        self._let(f"F.linear(torch.tanh({vector}), {weight}) + 0 * x[:, :1]", outer)

    def _unary(self):
        name, width = self._any()
        self._let(self.draw.choice(UNARY).format(name), width)

    def _binary(self):
        a, width = self._any()
        b, other = self._any(width)
        pair = [a, b] if self.draw.random() < 0.5 else [b, a]
        self._let(self.draw.choice(BINARY).format(*pair), max(width, other))

    def _reduce(self):
        wide = [v for v in self.values if v[1] > 1]
        if not wide:
            return
        name, width = self.draw.choice(wide)
        form = self.draw.choice(REDUCTIONS)
        given = {}
        if "{gain}" in form:
            given = {"gain": self._parameter(width), "shift": self._parameter(width)}
        self._let(form.format(name, **given), 1 if "keepdim=True)" in form[5:35] else width)

    def _cat(self):
        parts = [self._any() for _ in range(self.draw.randint(2, 3))]
        if sum(width for _, width in parts) < 30:
            names = ", ".join(name for name, _ in parts)
            self._let(f"torch.cat([{names}], -1)", sum(width for _, width in parts))

    def _chunk(self):
        even = [v for v in self.values if v[1] % 2 == 0]
        if even:
            name, width = self.draw.choice(even)
            self._let(f"{name}.chunk(2, -1)[{self.draw.randint(0, 1)}]", width // 2)

    def _slice(self):
        name, width = self._any()
        low = self.draw.randrange(width)
        high = self.draw.randint(low + 1, width)
        self._let(f"{name}[:, {low}:{high}]", high - low)

    def _vector(self):
        name, width = self._any()
        vector = self._parameter(width)
        self._let(self.draw.choice(("{0} * {1}", "{0} + {1}")).format(name, vector), width)

    # the new states and the output

    def _finish(self, names):
        """Each new state is of the right width and bounded, most of them made of later values."""
        made = []
        for name, width in zip(names, self.state_sizes, strict=True):
            fitting = [v for v, w in self.values if w == width and v[0] == "v"]
            form = self.draw.random()
            if fitting and form < 0.4:
                made.append(self._let(f"torch.tanh({fitting[-1]})", width))
            elif fitting and form < 0.7:
                gate = f"torch.sigmoid({self.draw.choice(fitting)})"
                made.append(self._let(f"{gate} * {name} + 0.3 * torch.tanh({fitting[-1]})", width))
            elif form < 0.75:
                other = [n for n, w in zip(names, self.state_sizes, strict=True) if w == width]
                made.append(self.draw.choice(other))
            else:
                value, inner = self._any()
                weight = self._parameter(width, inner)
                made.append(self._let(f"torch.tanh(F.linear({value}, {weight}) + {name})", width))
        states = f"({', '.join(made)},)"
        if self.draw.random() < 0.5:
            value, inner = self._any()
            weight = self._parameter(3, inner)
            output = self.draw.choice(
                (value, f"torch.tanh({value})", f"F.linear({value}, {weight})")
            )
            self.source.append(f"return {output}, {states}")
        else:
            self.source.append(f"return {states}")
