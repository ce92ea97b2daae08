import json
import os
import shutil

import pytest

from ostinato.studio.library import Library, UnknownRunError
from ostinato.training.runs import RunError


def test_runs_are_found_by_name_and_models_loaded_once(fitted):
    library = Library([fitted], most=2)
    assert list(library.runs()) == sorted(folder.name for folder in fitted.iterdir())
    assert library.folder("lm") == fitted / "lm"
    first = library.load("lm")
    assert first.task == "language_model"
    assert library.load("lm") is first
    assert not first.model.training
    for key in ("words", "tagger"):
        library.load(key)
    assert library.load("lm") is not first


def test_a_run_that_is_saved_anew_is_loaded_anew(runs):
    library = Library([runs])
    before = library.load("lm")
    before.model.network.readout.bias.data += 1
    before.model.save(runs / "lm")
    after = library.load("lm")
    assert after.stamp != before.stamp
    assert after.model is not before.model


def test_runs_of_one_name_and_odd_names_get_keys_of_their_own(runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(runs / "lm", other / "lm")
    shutil.copytree(runs / "lm", other / "ä b & c")
    library = Library([runs / "lm", other, runs / "lm"])
    assert library.runs() == {"lm": runs / "lm", "lm-2": other / "lm", "b-c": other / "ä b & c"}


def test_a_run_that_begins_later_is_found_and_one_that_goes_is_missed(runs, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    library = Library([empty])
    assert library.runs() == {}
    shutil.copytree(runs / "lm", empty / "first")
    assert list(library.runs()) == ["first"]
    shutil.rmtree(empty)
    assert library.runs() == {}


@pytest.mark.parametrize("key", ["l", "../lm", "/etc", "lm/../tagger", ""])
def test_only_keys_of_runs_lead_to_folders(fitted, key):
    with pytest.raises(UnknownRunError, match="There is no run"):
        Library([fitted / "lm", fitted / "tagger"]).load(key)


def test_the_nearest_run_is_named(fitted):
    with pytest.raises(UnknownRunError, match=r"no run 'taggr' here. Did you mean tagger\?"):
        Library([fitted]).folder("taggr")


def test_what_is_no_run_is_refused(runs, tmp_path):
    (runs / "file").write_text("text")
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "notes.txt").write_text("none of these is a run")
    for place, message in [
        (tmp_path / "nowhere", "does not exist"),
        (runs / "file", "is a file, not a folder"),
        (tmp_path / "things", "none of the folders in it is one"),
    ]:
        with pytest.raises(RunError, match=message):
            Library([place])
    (runs / "lm" / "config.json").write_text("{")
    with pytest.raises(RunError, match="cut short"):
        Library([runs / "lm"])
    # among others it is left out
    assert "lm" not in Library([runs]).runs()


def test_a_run_with_a_file_missing_is_refused_when_asked_for(runs):
    library = Library([runs])
    os.unlink(runs / "lm" / "model.safetensors")
    with pytest.raises(RunError, match=r"not whole: model.safetensors is missing"):
        library.load("lm")


def test_settings_of_another_program_are_no_run(runs):
    (runs / "other").mkdir()
    (runs / "other" / "config.json").write_text(json.dumps({"format": "else"}))
    assert "other" not in Library([runs]).runs()


def test_a_run_that_is_being_saved_is_read_again(runs, monkeypatch):
    from ostinato.tasks import registry

    tried = []
    load = registry.load

    def half_way(folder):
        tried.append(folder)
        if len(tried) < 3:
            # what was seen was old and new at once; by now it is whole
            os.utime(folder / "config.json", ns=(0, len(tried)))
            raise RunError("the digests differ")
        return load(folder)

    monkeypatch.setattr(registry, "load", half_way)
    assert Library([runs]).load("lm").task == "language_model"
    assert len(tried) == 3


def test_a_run_that_is_broken_is_not_tried_again(runs, monkeypatch):
    from ostinato.tasks import registry

    tried = []

    def broken(folder):
        tried.append(folder)
        raise RunError("the digests differ")

    monkeypatch.setattr(registry, "load", broken)
    with pytest.raises(RunError, match="the digests differ"):
        Library([runs]).load("lm")
    assert len(tried) == 1
