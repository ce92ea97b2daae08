"""Known public data sets: looked for in `OSTINATO_DATA`, then in the cache, then downloaded.

Each file has a SHA-256 checksum; a file that differs from it is refused, wherever it comes from.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ostinato.config import nearest

__all__ = ["CATALOG", "SERVER", "DataError", "DataFile", "DataSet", "cache_folder", "find", "get"]

SERVER = "https://raw.githubusercontent.com"


class DataError(ValueError):
    """A data set that is unknown, missing, damaged or out of reach."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: where it lies in the folder of data.
        source: its path on the server, "owner/repository/revision/path".
        sha256: checksum of the file; of what is inside, where `pack` is set.
        pack: the server has it plain and it is kept as gz.
    """

    path: str
    source: str
    sha256: str
    pack: bool = False


@dataclass(frozen=True)
class DataSet:
    """A public data set: what it is, whose, and its files."""

    name: str
    about: str
    rows: str
    licence: str
    origin: str
    files: tuple[DataFile, ...]


def _ewt(part: str, sha256: str) -> DataFile:
    name = f"en_ewt-ud-{part}.conllu"
    source = f"UniversalDependencies/UD_English-EWT/r2.15/{name}"
    return DataFile(f"ewt/{name}.gz", source, sha256, pack=True)


def _multi30k(name: str, sha256: str) -> DataFile:
    return DataFile(f"multi30k/{name}", f"multi30k/dataset/master/data/task1/raw/{name}", sha256)


_ALL = (
    DataSet(
        "tinyshakespeare",
        "plays by Shakespeare, plain text",
        "1,115,394 characters",
        "public domain",
        "karpathy/char-rnn",
        (
            DataFile(
                "tinyshakespeare.txt",
                "karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
    ),
    DataSet(
        "ewt",
        "English Web Treebank: words with universal tags (column 4)",
        "12,544 / 2,001 / 2,077 sentences",
        "CC BY-SA 4.0",
        "UniversalDependencies/UD_English-EWT 2.15",
        (
            _ewt("train", "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b"),
            _ewt("dev", "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"),
            _ewt("test", "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"),
        ),
    ),
    DataSet(
        "multi30k",
        "image descriptions in English and German, line by line",
        "29,000 / 1,014 / 1,000 pairs",
        "research use",
        "multi30k/dataset, task 1",
        (
            _multi30k(
                "train.en.gz", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"
            ),
            _multi30k(
                "train.de.gz", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"
            ),
            _multi30k(
                "val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"
            ),
            _multi30k(
                "val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
            ),
            _multi30k(
                "test_2016_flickr.en.gz",
                "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
            ),
            _multi30k(
                "test_2016_flickr.de.gz",
                "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
            ),
        ),
    ),
    DataSet(
        "ett",
        "oil temperature of a transformer (OT) and six loads, hourly",
        "17,420 rows",
        "CC BY-ND 4.0",
        "zhouhaoyi/ETDataset",
        (
            DataFile(
                "ETTh1.csv",
                "zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv",
                "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
            ),
        ),
    ),
    DataSet(
        "jsb-chorales",
        "Bach chorales: the notes that sound at each step (MIDI numbers)",
        "229 / 76 / 77 pieces",
        "public domain music",
        "czhuang/JSB-Chorales-dataset",
        (
            DataFile(
                "jsb-chorales-quarter.json",
                "czhuang/JSB-Chorales-dataset/master/jsb-chorales-quarter.json",
                "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91",
            ),
            DataFile(
                "jsb-chorales-16th.json",
                "czhuang/JSB-Chorales-dataset/master/jsb-chorales-16th.json",
                "8730aca7b64e7d29493733d1cf19fad4a5b351d8f1845e57dac27728104fd39f",
            ),
        ),
    ),
    DataSet(
        "polarity",
        "sentences of film reviews, for and against (Latin-1)",
        "5,331 of each",
        "Pang and Lee 2005",
        "yoonkim/CNN_sentence",
        (
            DataFile(
                "rt-polarity.pos",
                "yoonkim/CNN_sentence/master/rt-polarity.pos",
                "2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0",
            ),
            DataFile(
                "rt-polarity.neg",
                "yoonkim/CNN_sentence/master/rt-polarity.neg",
                "4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca",
            ),
        ),
    ),
)

CATALOG = {data.name: data for data in _ALL}


def cache_folder() -> Path:
    """Where downloads are kept: the user's cache, in a folder of our own."""
    import pooch

    return Path(pooch.os_cache("ostinato")) / "data"


def find(name: str, *, cache: str | Path | None = None) -> list[Path]:
    """The files of a data set that is already here, in the order of the catalog.

    Looked for in the folder that the environment variable OSTINATO_DATA names, then in the cache.

    Raises:
        DataError: the name is unknown, a file is missing (the message says how to get it), or one
            does not have its checksum.
    """
    data = _known(name)
    found = [_present(file, cache) for file in data.files]
    for file, path in zip(data.files, found, strict=True):
        if path is None:
            raise DataError(
                f"{name}: {file.path} is neither in OSTINATO_DATA nor in {_cache(cache)}. "
                f"Download it: ostinato data get {name}"
            )
    return [path for path in found if path is not None]


def get(
    name: str, *, server: str = SERVER, cache: str | Path | None = None, progress: Any = None
) -> list[Path]:
    """The files of a data set, downloading what is not here yet.

    Args:
        name: a key of `CATALOG`.
        server: address under which the paths `DataFile.source` lie.
        cache: folder to keep downloads in; `cache_folder()` unless given.
        progress: a progress bar as pooch takes it (`total`, `update`, `reset`, `close`).

    Raises:
        DataError: the name is unknown, the server cannot be reached, or a file does not have its
            checksum. A failed download leaves nothing behind.
    """
    paths = []
    for file in _known(name).files:
        path = _present(file, cache)
        if path is None:
            path = _cache(cache) / file.path
            _download(file, f"{server.rstrip('/')}/{file.source}", path, progress)
        paths.append(path)
    return paths


def _known(name: str) -> DataSet:
    if name not in CATALOG:
        raise DataError(f"There is no data set {name!r}{nearest(name, CATALOG)}")
    return CATALOG[name]


def _cache(cache: str | Path | None) -> Path:
    return cache_folder() if cache is None else Path(cache)


def _present(file: DataFile, cache: str | Path | None) -> Path | None:
    own = os.environ.get("OSTINATO_DATA")
    for folder in ([Path(own)] if own else []) + [_cache(cache)]:
        path = folder / file.path
        if path.exists():
            _check(file, path)
            return path
    return None


def _check(file: DataFile, path: Path) -> None:
    digest = hashlib.sha256()
    try:
        with gzip.open(path) if file.pack else path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        same = digest.hexdigest() == file.sha256
    except (OSError, EOFError):
        same = False
    if not same:
        raise DataError(
            f"{path} is damaged or another version: its SHA-256 is not {file.sha256[:12]}... "
            "Delete it and get it again."
        )


def _download(file: DataFile, url: str, path: Path, progress: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, so that the last step is a rename; gone with whatever went wrong
    with TemporaryDirectory(dir=path.parent, prefix=".get-") as folder:
        fresh = _retrieve(url, file.sha256, Path(folder), progress)
        if file.pack:
            packed = fresh.with_name("packed")
            with fresh.open("rb") as plain, gzip.GzipFile(packed, "wb", mtime=0) as out:
                shutil.copyfileobj(plain, out)
            fresh = packed
        os.replace(fresh, path)


def _retrieve(url: str, sha256: str, folder: Path, progress: Any) -> Path:
    import pooch

    with _quiet():
        try:
            # pooch takes a bar of its caller's as well as True or False
            downloader = pooch.HTTPDownloader(progressbar=progress or False, timeout=60)
            name = pooch.retrieve(
                url, f"sha256:{sha256}", "download", folder, downloader=downloader
            )
        except OSError as error:
            raise DataError(
                f"{url} cannot be downloaded: {error}. Check the connection, or put the file "
                "into a folder yourself and name that folder in OSTINATO_DATA."
            ) from error
        except ValueError as error:
            raise DataError(
                f"{url} came with another SHA-256 than {sha256[:12]}...: cut short on the way, or "
                "changed at its origin. Nothing was kept. Try again later."
            ) from error
    return Path(name)


@contextmanager
def _quiet() -> Iterator[None]:
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
