"""What a cell's equations come from, as a text that is the same in every process, or none.

The equations of a cell follow from its code and from what the code reads: `forward` of its modules,
the methods, functions and constants that this names, and so on; attributes; shapes. All of that is
written down here, code by its bytecode. Where something is met that cannot be written down for
certain (an object of an unknown class, code that reaches for names at run time), there is no such
text, and the cell is read anew in each process.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ostinato

__all__ = ["Untold", "origin_of"]

# modules of the standard library whose functions always do the same
_STEADY_NAMES = """
    abc builtins cmath collections contextlib copy dataclasses enum functools itertools math
    numbers operator string types typing typing_extensions warnings _operator _functools
"""
_STEADY = frozenset(_STEADY_NAMES.split())
# what reaches for things that bytecode does not name
_REACHING_NAMES = """
    __import__ compile delattr eval exec getattr globals locals open setattr vars __dict__
    __globals__ __subclasses__ _getframe
"""
_REACHING = frozenset(_REACHING_NAMES.split())
_ROOMS = ("engine", "cells", "layers")
_OWN = frozenset(nn.Module().__dict__)
# members of a class that nobody calls while a cell walks
_IDLE_NAMES = """
    __init__ __new__ __init_subclass__ __repr__ __str__ __del__ __reduce__ __reduce_ex__
    __getstate__ __setstate__ __copy__ __deepcopy__
"""
_IDLE = frozenset(_IDLE_NAMES.split())
_OF_CLASSES_NAMES = """
    __module__ __dict__ __weakref__ __doc__ __annotations__ __parameters__ __orig_bases__
    __qualname__ __firstlineno__ __static_attributes__ __abstractmethods__ _abc_impl __slots__
    __match_args__ __annotate__ __annotate_func__ __conditional_annotations__
"""
_OF_CLASSES = frozenset(_OF_CLASSES_NAMES.split())


_CODE = (types.FunctionType, types.ModuleType, type)


def _begun() -> float:
    """When this process began, or, where nobody tells, now."""
    try:
        told = Path("/proc/self/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        up = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        return time.time() - up + int(told[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return time.time()


_BEGUN = _begun()


class Untold(Exception):  # noqa: N818 - it says what is not so, not that something broke
    """There is something that cannot be written down."""


def origin_of(cell: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> str:
    """A hash of all that the equations follow from.

    Raises:
        Untold: nobody can tell what that is.
    """
    teller = _Teller()
    told = [
        (sys.version, torch.__version__, ostinato.__version__, own_source()),
        (str(torch.get_default_dtype()), str(torch.get_default_device())),
        tuple((part.shape[-1], str(part.dtype), str(part.device)) for part in (x, *state)),
        teller.cell(cell),
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@functools.cache
def own_source() -> str:
    """A hash of the code that reads cells, and of our own cells.

    Raises:
        Untold: a file was written since this process began, which may be running the one before.
    """
    home = Path(__file__).parents[1]
    files = sorted(f for room in _ROOMS for f in (home / room).rglob("*.py"))
    known = hashlib.sha256()
    for file in files:
        try:
            content, written = file.read_bytes(), file.stat().st_mtime
        except OSError as error:
            raise Untold(str(file)) from error
        if written > _BEGUN:
            raise Untold(f"{file} has been edited")
        known.update(f"{file.relative_to(home)} {len(content)}\n".encode())
        known.update(content)
    return known.hexdigest()


class _Teller:
    """Writes things down; what has been met before is named by its number."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}
        # so that no number passes to another object
        self.held: list[Any] = []
        # names that the code uses, and the classes in which they may mean something
        self.names: set[str] = {"forward"}
        self.classes: list[tuple[type, set[str]]] = []
        self.modules: list[tuple[types.ModuleType, set[str]]] = []

    def cell(self, cell: nn.Module) -> Any:
        first: dict[int, str] = {}
        told = []
        for name, module in cell.named_modules(remove_duplicate=False):
            attributes = {key: value for key, value in module.__dict__.items() if key not in _OWN}
            tensors = [
                (key, None if value is None else self._tensor(value, f"{name}.{key}", first))
                for table in (module._parameters, module._buffers)
                for key, value in table.items()
            ]
            told.append(
                (
                    *(name, self.thing(type(module)), module.training, tensors),
                    *(self.thing(attributes), list(module._modules)),
                )
            )
        return told, self._members()

    def _members(self) -> list[Any]:
        """What the names that are used mean in the classes and modules that are met."""
        told: list[Any] = []
        while True:
            before = len(told)
            for home, done in [*self.classes]:
                for name, part in list(vars(home).items()):
                    if name not in done and self._is_used(name):
                        done.add(name)
                        told.append((home.__qualname__, name, self._member(part)))
            for module, done in [*self.modules]:
                for name in sorted(self.names & set(vars(module)) - done):
                    done.add(name)
                    told.append((module.__name__, name, self._of_module(module, name)))
            if len(told) == before:
                return told

    def _is_used(self, name: str) -> bool:
        special = name.startswith("__") and name.endswith("__")
        return name in self.names or (special and name not in _IDLE | _OF_CLASSES)

    def _of_module(self, module: types.ModuleType, name: str) -> Any:
        part = vars(module)[name]
        if _is_torch(module.__name__) and not isinstance(part, _CODE):
            return type(part).__name__
        return self.thing(part)

    def _tensor(self, value: Tensor, name: str, first: dict[int, str]) -> Any:
        if type(value) not in (Tensor, nn.Parameter):
            raise Untold(name)
        same = first.setdefault(id(value), name)
        return tuple(value.shape), str(value.dtype), str(value.device), same

    def thing(self, value: Any) -> Any:
        """Anything that code or attributes may hold."""
        kind = type(value)
        if value is None or value is Ellipsis or kind in (bool, int, str, bytes):
            return value
        if kind in (float, complex):
            return repr(value)
        if kind in (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format):
            return str(value)
        if id(value) in self.met:
            return ("met", self.met[id(value)])
        self.met[id(value)] = len(self.met)
        self.held.append(value)
        if kind in (tuple, list):
            return (kind.__name__, [self.thing(part) for part in value])
        if kind in (set, frozenset):
            return (kind.__name__, sorted(repr(self.thing(part)) for part in value))
        if kind is dict or kind is types.MappingProxyType:
            return ("dict", [(self.thing(k), self.thing(v)) for k, v in value.items()])
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, type):
            return self._class(value)
        if kind is types.FunctionType:
            return self._function(value)
        if kind is types.MethodType and isinstance(value.__self__, type):
            return ("method", self.thing(value.__self__), self.thing(value.__func__))
        if kind is functools.partial:
            return ("partial", *map(self.thing, (value.func, value.args, value.keywords)))
        return self._named(value)

    def _named(self, value: Any) -> Any:
        """What torch or the standard library has under a name."""
        home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            return ("operator", str(value))
        places = (home, "builtins", "math", "torch", "torch._C._nn", "torch.nn.functional")
        for place in places:
            if isinstance(place, str) and (_is_torch(place) or place.split(".")[0] in _STEADY):
                for called in (name, getattr(value, "__name__", None)):
                    if isinstance(called, str) and _found(place, called) is value:
                        return ("named", place, called)
        raise Untold(f"{type(value).__qualname__} {name or ''}")

    # classes

    def _class(self, value: type) -> Any:
        home = value.__module__
        if home.split(".")[0] in _STEADY:
            return self._named(value)
        if _is_torch(home):
            self._untouched(value)
            return ("class", home, value.__qualname__)
        self.classes.append((value, set()))
        bases = [self.thing(base) for base in value.__bases__]
        kind = self.thing(type(value)) if type(value) is not type else None
        return ("class", home, value.__qualname__, bases, kind)

    def _module(self, value: types.ModuleType) -> Any:
        home = value.__name__
        if home.split(".")[0] not in _STEADY:
            if "__getattr__" in vars(value) and not _is_torch(home):
                raise Untold(f"{home} makes its names when they are asked for")
            self.modules.append((value, set()))
        return ("module", home)

    def _untouched(self, value: type) -> None:
        """A class of torch's that somebody has given functions is not torch's."""
        for part in vars(value).values():
            if isinstance(part, types.FunctionType) and not _is_torch(part.__module__ or ""):
                dataclass_made = part.__code__.co_filename == "<string>"
                steady = (part.__module__ or "").split(".")[0] in _STEADY
                if not dataclass_made and not steady:
                    raise Untold(f"{value.__qualname__}.{part.__name__}")

    def _member(self, part: Any) -> Any:
        if isinstance(part, (staticmethod, classmethod)):
            return (type(part).__name__, self.thing(part.__func__))
        if isinstance(part, property):
            return ("property", *map(self.thing, (part.fget, part.fset, part.fdel)))
        if isinstance(part, functools.cached_property):
            return ("cached", self.thing(part.func))
        return self.thing(part)

    # functions

    def _function(self, value: Callable[..., Any]) -> Any:
        assert isinstance(value, types.FunctionType)
        home = value.__module__ or ""
        if _is_torch(home):
            return self._named(value)
        names = set(_names(value.__code__))
        told = [
            _spelt(value.__code__),
            self.thing(value.__defaults__),
            self.thing(value.__kwdefaults__),
            [self.thing(_content(cell)) for cell in value.__closure__ or ()],
        ]
        if home.split(".")[:2] in [["ostinato", room] for room in _ROOMS]:
            # its file is part of our own source
            self.names |= {name for name in names if not name.startswith("__")}
            return ("ours", home, value.__qualname__, told)
        reaching = names & _REACHING
        if reaching or "IMPORT_NAME" in _operations(value.__code__):
            raise Untold(f"{value.__qualname__} uses {', '.join(reaching) or 'import'}")
        self.names |= {name for name in names if not name.startswith("__")}
        world: Mapping[str, Any] = value.__globals__
        reached = {}
        for name in sorted(names):
            if name in world:
                reached[name] = self.thing(world[name])
            elif hasattr(builtins, name):
                reached[name] = self._named(getattr(builtins, name))
        return ("function", told, reached)


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_torch(module: str) -> bool:
    return module.split(".")[0] == "torch"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        raise Untold("an empty closure") from None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> Iterator[str]:
    for part in _codes(code):
        yield from part.co_names


def _operations(code: types.CodeType) -> set[str]:
    import dis

    return {step.opname for part in _codes(code) for step in dis.get_instructions(part)}


def _spelt(code: types.CodeType) -> Any:
    """Bytecode with all that it holds, but for where it stands."""
    constants = [
        _spelt(one) if isinstance(one, types.CodeType) else (type(one).__name__, repr(one))
        for one in code.co_consts
    ]
    return (
        code.co_code.hex(),
        constants,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_posonlyargcount,
        code.co_exceptiontable.hex(),
    )
