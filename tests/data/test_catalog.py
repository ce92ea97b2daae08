from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ostinato.data import catalog
from ostinato.data.catalog import CATALOG, DataError, DataFile, DataSet, find, get

PLAIN = b"first line\nsecond line\n" * 5000
TAGS = b"1\tword\t_\tNOUN\n\n" * 3000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def small(monkeypatch) -> DataSet:
    """A data set of two files, one of which is packed once it is here; nothing is at hand."""
    data = DataSet(
        "small",
        "a test",
        "2",
        "none",
        "here",
        (
            DataFile("plain.txt", "owner/repo/main/plain.txt", sha256(PLAIN)),
            DataFile("tags/t.conllu.gz", "owner/repo/main/t.conllu", sha256(TAGS), pack=True),
        ),
    )
    monkeypatch.setitem(CATALOG, "small", data)
    monkeypatch.delenv("OSTINATO_DATA", raising=False)
    return data


@pytest.fixture
def server(tmp_path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served" / "owner" / "repo" / "main"
    folder.mkdir(parents=True)
    (folder / "plain.txt").write_bytes(PLAIN)
    (folder / "t.conllu").write_bytes(TAGS)
    with serving(tmp_path / "served") as address:
        yield address, folder


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_lands_in_the_cache_and_is_found_there(small, server, tmp_path):
    cache = tmp_path / "cache"
    paths = get("small", server=server[0], cache=cache)
    assert paths == [cache / "plain.txt", cache / "tags/t.conllu.gz"]
    assert paths[0].read_bytes() == PLAIN
    assert gzip.decompress(paths[1].read_bytes()) == TAGS
    assert everything(cache) == ["plain.txt", "tags/t.conllu.gz"]
    assert find("small", cache=cache) == paths


def test_what_is_here_is_not_downloaded_again(small, server, tmp_path):
    get("small", server=server[0], cache=tmp_path / "cache")
    nobody = "http://127.0.0.1:9"
    assert len(get("small", server=nobody, cache=tmp_path / "cache")) == 2


def test_the_folder_of_the_environment_comes_first(small, server, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / "plain.txt").write_bytes(PLAIN)
    monkeypatch.setenv("OSTINATO_DATA", str(own))
    paths = get("small", server=server[0], cache=tmp_path / "cache")
    assert paths == [own / "plain.txt", tmp_path / "cache" / "tags/t.conllu.gz"]


def test_packing_gives_the_same_bytes_each_time(small, server, tmp_path):
    one = get("small", server=server[0], cache=tmp_path / "one")[1].read_bytes()
    two = get("small", server=server[0], cache=tmp_path / "two")[1].read_bytes()
    assert one == two


@pytest.mark.parametrize("name", ["plain.txt", "t.conllu"])
def test_a_corrupted_download_is_refused_and_leaves_nothing_behind(small, server, tmp_path, name):
    address, folder = server
    (folder / name).write_bytes(b"not what it was")
    with pytest.raises(DataError, match=r"another SHA-256 .* Nothing was kept"):
        get("small", server=address, cache=tmp_path / "cache")
    assert everything(tmp_path / "cache") == (["plain.txt"] if name == "t.conllu" else [])
    assert not list((tmp_path / "cache").rglob(".get-*"))


def test_a_file_missing_on_the_server_is_said(small, server, tmp_path):
    address, folder = server
    (folder / "plain.txt").unlink()
    with pytest.raises(DataError, match=r"plain\.txt cannot be downloaded: 404.* OSTINATO_DATA"):
        get("small", server=address, cache=tmp_path / "cache")
    assert everything(tmp_path / "cache") == []


def test_a_server_out_of_reach_is_said(small, tmp_path):
    with pytest.raises(DataError, match=r"cannot be downloaded.* Check the connection"):
        get("small", server="http://127.0.0.1:9", cache=tmp_path / "cache")


def test_what_is_not_here_names_the_command_that_gets_it(small, tmp_path):
    with pytest.raises(DataError, match="Download it: ostinato data get small"):
        find("small", cache=tmp_path)


@pytest.mark.parametrize("content", [b"changed", gzip.compress(b"changed"), b"\x1f\x8bcut short"])
def test_a_changed_file_at_hand_is_refused(small, tmp_path, content):
    (tmp_path / "plain.txt").write_bytes(PLAIN)
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "t.conllu.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.conllu\.gz is damaged or another version"):
        find("small", cache=tmp_path)


def test_an_unknown_name_gets_the_nearest_known_one():
    with pytest.raises(DataError, match=r"no data set 'tinyshakspeare'\. Did you mean tinyshake"):
        find("tinyshakspeare")


def test_every_entry_has_its_place_its_origin_and_a_checksum():
    paths = [file.path for data in CATALOG.values() for file in data.files]
    assert len(paths) == len(set(paths)) == 15
    for data in CATALOG.values():
        assert data.about
        assert data.licence
        for file in data.files:
            assert file.source.startswith(data.origin.split()[0].rstrip(","))
            assert len(bytes.fromhex(file.sha256)) == 32


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_real_files_have_their_checksums(name, tmp_path):
    if not os.environ.get("OSTINATO_DATA"):
        pytest.skip("OSTINATO_DATA names no folder with the real data sets")
    assert all(path.stat().st_size for path in find(name, cache=tmp_path))


def test_downloading_is_silent(small, server, tmp_path, capfd):
    get("small", server=server[0], cache=tmp_path)
    assert capfd.readouterr() == ("", "")
    assert catalog.SERVER.startswith("https://")
