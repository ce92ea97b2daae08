"""From IR text to functions that can be called: LLVM, the cache on disk, the thread pool.

Machine code is kept under the user's cache folder, one file for each kernel, named by a hash of
the text and of the processor it was made for, with a checksum of its content in front. A file that
is not what it says, or a folder that cannot be written, is passed over.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

from ostinato.engine.llvm.text import Target

__all__ = [
    "Library",
    "cache_folder",
    "cached",
    "code_key",
    "compile_text",
    "host_target",
    "openmp",
    "write_file",
]

_MAGIC = b"ostinato kernel 1\n"


@functools.cache
def _start() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, address in openmp().items():
        llvm.add_symbol(name, address)


@functools.cache
def openmp() -> dict[str, int]:
    """Addresses of the OpenMP runtime that torch has loaded; empty where there is none."""
    import torch  # noqa: F401 - loads the runtime

    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    for path in _loaded("libgomp"):
        with contextlib.suppress(OSError, AttributeError):
            runtime = ctypes.CDLL(path)
            found = {n: ctypes.cast(getattr(runtime, n), ctypes.c_void_p).value for n in names}
            return {name: address for name, address in found.items() if address}
    return {}


def _loaded(part: str) -> list[str]:
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return sorted({line.split()[-1] for line in lines if part in line})


@functools.cache
def host_target(level: str = "") -> Target:
    """The host, or one of its lesser selves: "avx512", "avx2", "sse2" or "neon".

    Raises:
        ValueError: the host has no such features.
    """
    _start()
    cpu, flags = llvm.get_host_cpu_name(), llvm.get_host_cpu_features()
    has = {name for name, on in flags.items() if on}
    known = {
        "avx512": ({"avx512f", "avx512dq", "avx512vl", "avx512bw"}, 64, 32),
        "avx2": ({"avx2", "fma"}, 32, 16),
        "sse2": ({"sse2"}, 16, 16),
        "neon": ({"neon"}, 16, 32),
    }
    fitting = [name for name, (needs, *_) in known.items() if needs <= has]
    chosen = level or (fitting[0] if fitting else "")
    if chosen not in fitting:
        raise ValueError(f"This processor has {', '.join(fitting)}, not {chosen!r}.")
    _, width, registers = known[chosen]
    if chosen in ("avx2", "sse2"):
        cut = {n for n in has if n.startswith("avx512") or n.startswith("avx10")}
        if chosen == "sse2":
            cut |= {n for n in has if n.startswith(("avx", "fma", "f16c", "vaes", "vpcl", "sse4"))}
            cut |= {"ssse3", "sse3", "xop", "gfni", "sha512", "sm3", "sm4"} & has
        names = [f"+{n}" if n not in cut else f"-{n}" for n in sorted(has)]
        return Target("x86-64", ",".join(names), width, registers, False)
    features = flags.flatten()
    if chosen == "avx512":
        # full vectors: some processors are told to prefer half of them
        features += ",-prefer-256-bit"
    return Target(cpu, features, width, registers, chosen == "avx512")


class Library:
    """Loaded machine code; functions take (address of the frame, threads)."""

    def __init__(self, engine: llvm.ExecutionEngine, names: Sequence[str]) -> None:
        self._engine = engine
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
        self.functions = {name: kind(engine.get_function_address(name)) for name in names}

    def address(self, name: str) -> int:
        return int(self._engine.get_function_address(name))


def code_key(text: str, target: Target) -> str:
    """The name of a text's machine code in the cache."""
    _start()
    return _key(text, target)


def cached(key: str, target: Target, names: Sequence[str]) -> Library | None:
    """Machine code that the cache has under a name."""
    _start()
    code = _read(key)
    return None if code is None else Library(_load(code, target), names)


def compile_text(text: str, target: Target, names: Sequence[str]) -> Library:
    """Machine code of a module, from the cache or made now."""
    _start()
    key = _key(text, target)
    code = _read(key)
    if code is None:
        code = _translate(text, target)
        _write(key, code)
    return Library(_load(code, target), names)


def _machine(target: Target) -> llvm.TargetMachine:
    triple = llvm.Target.from_default_triple()
    return triple.create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="jitdefault"
    )


def _translate(text: str, target: Target) -> bytes:
    # no pass runs: the text is as it should be, and passes cost more than they gain here
    module = llvm.parse_assembly(text)
    module.verify()
    return bytes(_machine(target).emit_object(module))


def _load(code: bytes, target: Target) -> llvm.ExecutionEngine:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(target))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _key(text: str, target: Target) -> str:
    told = (text, target.cpu, target.features, llvmlite.__version__, repr(llvm.llvm_version_info))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def cache_folder(room: str) -> Path:
    """Where files of one kind are kept; it need not exist."""
    given = os.environ.get("OSTINATO_CACHE")
    if given:
        return Path(given) / room
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ostinato" / room


def _read(key: str) -> bytes | None:
    try:
        content = (cache_folder("kernels") / f"{key}.o").read_bytes()
    except (OSError, RuntimeError):
        return None
    head = len(_MAGIC) + 64
    code = content[head:]
    good = content[:head] == _MAGIC + hashlib.sha256(code).hexdigest().encode()
    return code if good else None


def _write(key: str, code: bytes) -> None:
    content = _MAGIC + hashlib.sha256(code).hexdigest().encode() + code
    with contextlib.suppress(RuntimeError):
        write_file(cache_folder("kernels"), f"{key}.o", content)


def write_file(folder: Path, name: str, content: bytes) -> None:
    """Write a file so that others see all of it or nothing; where that cannot be, leave it."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(draft).replace(folder / name)
        except OSError:
            Path(draft).unlink(missing_ok=True)
