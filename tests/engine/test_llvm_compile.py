"""The cache on disk: used the second time, and never trusted."""

import ctypes
import dataclasses
import os
import stat

import numpy as np
import pytest

from ostinato.engine.llvm import compile as making
from ostinato.engine.llvm.compile import Library, compile_text, host_target
from ostinato.engine.llvm.text import Function, Module


def text_of(value):
    """A module with one public function, which stores a number."""
    module = Module(host_target(), "float")
    f = Function(module, "answer", ("ptr", "i64"), public=True)
    f.do(f"store i64 {value}, ptr {f.arguments[0]}")
    f.finish()
    return str(module)


def answer(library: Library):
    place = np.zeros(1, dtype=np.int64)
    library.functions["answer"](place.ctypes.data, 0)
    return int(place[0])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    return tmp_path / "kernels"


@pytest.fixture
def made(monkeypatch):
    """Counts what LLVM translates."""
    texts, translate = [], making._translate
    monkeypatch.setattr(
        making, "_translate", lambda *given: texts.append(given) or translate(*given)
    )
    return texts


def get(value=42, target=None):
    return answer(compile_text(text_of(value), target or host_target(), ["answer"]))


def test_a_kernel_is_made_once_and_then_read(cache, made):
    assert get() == 42
    (file,) = cache.iterdir()
    assert (len(made), file.suffix) == (1, ".o")
    content = file.read_bytes()
    assert get() == 42
    assert len(made) == 1
    assert file.read_bytes() == content


def test_other_text_is_another_kernel(cache, made):
    assert (get(1), get(2), get(1)) == (1, 2, 1)
    assert len(made) == 2
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "x86-64"},
        {"features": "+sse2"},
    ],
    ids=["cpu", "features"],
)
def test_a_kernel_of_another_processor_is_not_used(change, cache, made):
    get()
    host = host_target()
    changed = dataclasses.replace(host, **change)
    assert making._key("text", host) != making._key("text", changed)
    compile_text(text_of(42), changed, ["answer"])
    assert len(made) == 2


def test_a_kernel_of_another_compiler_is_not_used(cache, monkeypatch):
    before = making._key("text", host_target())
    monkeypatch.setattr(making.llvmlite, "__version__", "0.0.1")
    assert making._key("text", host_target()) != before


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "headless": lambda content: content[len(making._MAGIC) :],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "checksum": lambda content: content[:20] + b"0" * 10 + content[30:],
    "foreign": lambda content: b"\x7fELF" + os.urandom(500),
    "longer": lambda content: content + b"x",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_passed_over_and_made_anew(damage, cache, made):
    get()
    (file,) = cache.iterdir()
    content = file.read_bytes()
    file.write_bytes(DAMAGE[damage](content))
    assert get() == 42
    assert len(made) == 2
    assert get() == 42
    assert len(made) == 2, "the damaged file has not been replaced"


def test_a_folder_in_place_of_the_file_is_passed_over(cache, made):
    get()
    (file,) = cache.iterdir()
    file.unlink()
    file.mkdir()
    assert get() == 42
    assert not [path for path in cache.iterdir() if path != file], "a temporary file is left"


@pytest.mark.parametrize("place", ["a file", "/proc/none"])
def test_a_place_that_cannot_be_a_folder_is_passed_over(place, tmp_path, monkeypatch, made):
    if place == "a file":
        (tmp_path / "file").write_text("")
        place = str(tmp_path / "file")
    monkeypatch.setenv("OSTINATO_CACHE", place)
    assert (get(), get()) == (42, 42)
    assert len(made) == 2


def test_a_folder_that_cannot_be_written_is_passed_over(cache, made, monkeypatch):
    cache.mkdir(parents=True)
    cache.chmod(stat.S_IREAD | stat.S_IEXEC)
    if os.access(cache, os.W_OK):
        # no mode keeps root out

        def refuse(*given, **options):
            raise PermissionError("read-only")

        monkeypatch.setattr(making.tempfile, "mkstemp", refuse)
    try:
        assert (get(), get()) == (42, 42)
        assert not list(cache.iterdir())
        assert len(made) == 2
    finally:
        cache.chmod(stat.S_IRWXU)


def test_a_full_disk_leaves_no_rest(cache, monkeypatch):
    def full(handle, mode):
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making.os, "fdopen", full)
    assert get() == 42
    assert not list(cache.iterdir())


@pytest.mark.parametrize("given", ["OSTINATO_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_where_the_cache_stands(given, monkeypatch, tmp_path):
    for name in ("OSTINATO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(given, str(tmp_path))
    below = {"OSTINATO_CACHE": "", "XDG_CACHE_HOME": "ostinato", "HOME": ".cache/ostinato"}[given]
    assert making.cache_folder("kernels") == tmp_path / below / "kernels"


def test_code_stays_loaded_as_long_as_its_library(cache):
    libraries = [compile_text(text_of(n), host_target(), ["answer"]) for n in range(20)]
    assert [answer(library) for library in libraries] == list(range(20))


def test_text_that_is_no_module_is_refused():
    with pytest.raises(RuntimeError, match="expected"):
        compile_text("define nonsense", host_target(), [])


def test_the_openmp_runtime_is_torchs():
    found = making.openmp()
    if not found:
        pytest.skip("torch has another runtime here")
    assert set(found) == {"GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads"}
    count = ctypes.CFUNCTYPE(ctypes.c_int)(found["omp_get_num_threads"])
    assert count() == 1


def test_lesser_code_asks_for_no_greater_features():
    for level, banned in (("avx2", ("avx512",)), ("sse2", ("avx", "fma", "sse4", "ssse3"))):
        try:
            target = host_target(level)
        except ValueError:
            continue
        switched_on = [name[1:] for name in target.features.split(",") if name.startswith("+")]
        assert not [name for name in switched_on if name.startswith(banned)]
        assert target.cpu == "x86-64"
        assert target.vector_bytes == {"avx2": 32, "sse2": 16}[level]
