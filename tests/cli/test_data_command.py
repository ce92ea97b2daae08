"""`ostinato data get`: files in a folder of one's own, and what to do with them."""

import shlex
from pathlib import Path

import pytest

from ostinato.cli import run
from ostinato.data import catalog


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Every set is here, each file with its own name as its content."""

    def get(name, **_):
        folder = tmp_path / "cache" / name
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / Path(file.path).name for file in catalog.CATALOG[name].files]
        for path in paths:
            path.write_text(path.name)
        return paths

    monkeypatch.setattr(catalog, "get", get)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_the_command_that_follows_is_one_that_there_is(name, here, capsys):
    assert run(["data", "get", name]) == 0
    said, beside = capsys.readouterr()
    following = shlex.split(beside.removeprefix("Next: "))
    if name == "polarity":
        assert following == ["ostinato", "data", "list"]
        return
    assert following[0] == "ostinato"
    assert set(following) & set(said.split())
    assert run([*following[1:], "--print-config"]) == 0


def test_files_are_copied_by_their_own_names(here, capsys):
    assert run(["data", "get", "ewt", "--out", "mine"]) == 0
    names = ["en_ewt-ud-train.conllu.gz", "en_ewt-ud-dev.conllu.gz", "en_ewt-ud-test.conllu.gz"]
    said, beside = capsys.readouterr()
    assert said.split() == [f"mine/{name}" for name in names]
    assert beside.startswith(f"Next: ostinato fit tags mine/{names[0]} --validation")
    assert [(here / "mine" / name).read_text() for name in names] == names
    # again, over the same files
    assert run(["data", "get", "ewt", "--out", "mine"]) == 0


def test_another_file_of_that_name_is_not_written_over(here, capsys):
    other = here / "tinyshakespeare.txt"
    other.write_text("my own play")
    assert run(["data", "get", "tinyshakespeare", "--out", "."]) == 2
    assert "tinyshakespeare.txt is another file of that name" in capsys.readouterr().err
    assert other.read_text() == "my own play"
