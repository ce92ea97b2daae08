import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ostinato.data import long_text
from ostinato.data.long_text import LongDocument
from ostinato.data.parts import split_documents
from ostinato.data.text import TextError, read_documents
from ostinato.data.words import WordTokenizer


@pytest.fixture(autouse=True)
def short_is_long(monkeypatch):
    monkeypatch.setattr(long_text, "LONG", 100)
    monkeypatch.setattr(long_text, "_BLOCK", 64)


def lines(count=200):
    draws = np.random.default_rng(0)
    words = ["naïve", "cat", "don't", "€5", "well-known", "x", "𝄞"]
    return (
        "\n".join(" ".join(draws.choice(words, draws.integers(0, 9))) for _ in range(count)) + "\n"
    )


def write(path, text, encoding="utf-8", packed=False):
    raw = text.encode(encoding)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


def joined(documents):
    return ["".join(document.pieces()) for document in documents]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_long_file_is_read_as_a_short_one(tmp_path, monkeypatch, packed, encoding):
    path = write(tmp_path / "a.txt", lines().replace("\n", "\r\n"), encoding, packed)
    (document,) = read_documents(path, encoding=encoding)
    assert isinstance(document, LongDocument)
    assert joined([document]) == [lines()]
    assert len(document) == len(lines())
    assert max(map(len, document.pieces())) < 300
    monkeypatch.setattr(long_text, "LONG", 10**9)
    assert [d.text for d in read_documents(path, encoding=encoding)] == [lines()]


def test_pieces_cut_no_word(tmp_path):
    (document,) = read_documents(write(tmp_path / "a.txt", lines()))
    cutter = WordTokenizer([])
    pieced = [word for piece in document.pieces() for word in cutter.pieces(piece)]
    assert pieced == list(cutter.pieces(lines()))


@pytest.mark.parametrize("separator", ["--\n", "\n", "at\nna"])
def test_documents_of_a_long_file_are_those_of_a_short_one(tmp_path, monkeypatch, separator):
    text = lines(60) + "--\n" + lines(7) + "--\n--\n \n--\n" + "end"
    path = write(tmp_path / "a.txt", text)
    long = read_documents(path, separator=separator)
    monkeypatch.setattr(long_text, "LONG", 10**9)
    short = read_documents(path, separator=separator)
    assert joined(long) == [document.text for document in short]
    assert [d.name for d in long] == [d.name for d in short]


@pytest.mark.parametrize("whole", [False, True])
def test_parts_of_a_long_file_are_those_of_a_short_one(tmp_path, monkeypatch, whole):
    paths = [write(tmp_path / name, lines(n)) for name, n in (("a.txt", 90), ("b.txt", 40))]
    long = split_documents(read_documents(paths), (0.1, 0.25), whole=whole)
    monkeypatch.setattr(long_text, "LONG", 10**9)
    short = split_documents(read_documents(paths), (0.1, 0.25), whole=whole)
    assert [joined(part) for part in long] == [[d.text for d in part] for part in short]


def test_little_of_a_very_long_text_is_set_apart():
    from ostinato.data.text import Document

    parts = split_documents([Document("x" * 1000)], (0.05, 0.1), most=20)
    assert [sum(map(len, part)) for part in parts] == [960, 20, 20]
    parts = split_documents([Document("x" * 1000)], (0.05, 0.0), most=20)
    assert [sum(map(len, part)) for part in parts] == [980, 20, 0]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a" * 300 + b"\0", "holds nothing|is a binary file"),
        (b" \n" * 300, "nothing but blanks"),
        (b"text " * 100 + b"\xff" + b"more " * 100, "not utf-8 text: byte 0xff before position"),
        (gzip.compress(os.urandom(900).hex().encode())[:-30], "damaged gz file"),
    ],
)
def test_a_broken_long_file_is_named_with_the_reason(tmp_path, monkeypatch, raw, message):
    monkeypatch.setattr(long_text, "_BLOCK", 1 << 10)
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(TextError, match=message):
        read_documents(tmp_path / "a.txt")


# what it takes to start on a text, as measured: imports and a small network alone are most of it
FIT = """
import json, pathlib, sys
from ostinato.data import long_text, streams
from ostinato.tasks.language_model.task import LanguageModel

long_text.LONG = streams._IN_MEMORY = 1_000_000

def peak():
    # what getrusage gives begins at what the parent had, and would hide all growth
    told = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in told if line.startswith("VmHWM")).split()[1]) * 1024

settings = {"hidden_size": 8, "num_layers": 1, "embedding_size": 4, "max_steps": 2, "dropout": 0.0,
            "batch_size": 4, "chunk_length": 8, "progress": False, "baselines": False,
            "held_out": 0.00001, "validation": 0.00001}
LanguageModel.fit("the same, but short\\n" * 99, **{**settings, "held_out": 0.1, "validation": 0.1})
before = peak()
model = LanguageModel.fit(sys.argv[1], **settings)
print(json.dumps({"grown": peak() - before, "seen": model.figures["training"]["tokens"]}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_larger_than_what_memory_grows_by_is_fitted(tmp_path):
    # the growth is 35 MB from 20 MB of text on, and stays there
    with (tmp_path / "long.txt").open("w") as file:
        while file.tell() < 80_000_000:
            file.write(
                "".join(f"a line of the text, with a number: {n % 97}\n" for n in range(20000))
            )
    done = subprocess.run(
        [sys.executable, "-c", FIT, str(tmp_path / "long.txt")],
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["seen"] == 64
    assert result["grown"] < 60_000_000
