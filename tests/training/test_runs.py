import json
import pickle

import pytest
import torch

from ostinato.files import SaveError
from ostinato.training import RunError, load_run, save_run, update_weights

SETTINGS = {"hidden_size": 4, "cell": "lstm", "clip": None}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    save(folder)
    return folder


def save(folder, value=1.0):
    shared = torch.full((2, 3), value)
    save_run(
        folder,
        task="language_model",
        settings=SETTINGS,
        weights={"embed": shared, "readout": shared, "half": torch.ones(2).half()},
        texts={"tokenizer.json": '{"é": 1}'},
    )


def test_a_run_comes_back_as_it_was(run):
    loaded = load_run(run)
    assert (loaded.task, loaded.settings) == ("language_model", SETTINGS)
    assert loaded.texts == {"tokenizer.json": '{"é": 1}'}
    assert torch.equal(loaded.weights["embed"], torch.ones(2, 3))
    assert torch.equal(loaded.weights["readout"], torch.ones(2, 3))
    assert loaded.weights["half"].dtype == torch.float16
    assert sorted(p.name for p in run.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_weights_may_be_left_out(run):
    (run / "model.safetensors").unlink()
    assert load_run(run, weights=False).weights == {}


def test_new_weights_leave_the_rest_alone(run):
    update_weights(run, {"embed": torch.zeros(1)})
    loaded = load_run(run)
    assert list(loaded.weights) == ["embed"]
    assert loaded.texts == {"tokenizer.json": '{"é": 1}'}


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


DAMAGE = {
    "weights cut short": (lambda f: cut_short(f / "model.safetensors"), "is cut short"),
    "weights changed": (lambda f: flip(f / "model.safetensors"), "checksum differs"),
    "weights missing": (lambda f: (f / "model.safetensors").unlink(), "safetensors is missing"),
    "text changed": (lambda f: flip(f / "tokenizer.json"), "tokenizer.json.*checksum differs"),
    "config cut short": (lambda f: cut_short(f / "config.json"), "config.json is cut short"),
    "config binary": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "not written by Ost"),
    "config changed": (lambda f: edit_config(f, settings={}), "has been changed"),
    "config missing": (lambda f: (f / "config.json").unlink(), "is no run folder"),
    "config foreign": (lambda f: (f / "config.json").write_text("[1]"), "not written by Ostinato"),
    "newer format": (lambda f: edit_config(f, version=9), "format version 9"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(run, damage):
    harm, message = DAMAGE[damage]
    harm(run)
    with pytest.raises(RunError, match=message):
        load_run(run)


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file, not a folder"):
        load_run(tmp_path / "file")
    with pytest.raises(RunError, match="is no run folder"):
        update_weights(tmp_path, {})


def test_a_pickle_in_place_of_the_weights_is_never_opened(run, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    content = pickle.dumps(Trap())
    (run / "model.safetensors").write_bytes(content + b" " * 9999)
    with pytest.raises(RunError, match="checksum differs"):
        load_run(run)
    # even where the checksums have been made to fit
    from ostinato.training import runs

    head = {"task": "t", "settings": {}}
    runs._write(run, head, {"model.safetensors": content}, {})
    with pytest.raises(RunError, match="no readable safetensors"):
        load_run(run)
    assert not (tmp_path / "sprung").exists()


def test_files_outside_of_the_folder_are_not_read(run, tmp_path):
    from ostinato.training import runs

    (tmp_path / "secret").write_text("s")
    listed = {"../secret": {"sha256": runs.digest(b"s"), "bytes": 1}}
    runs._write(run, {"task": "t", "settings": {}}, {}, listed)
    with pytest.raises(RunError, match="outside of its folder"):
        load_run(run)


def test_what_is_not_ours_is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(RunError, match=r"config.json of something else"):
        save(tmp_path)
    assert (tmp_path / "config.json").read_text() == '{"model_type": "gpt2"}'
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file; a run needs a folder"):
        save(tmp_path / "file")


def test_settings_must_be_plain(tmp_path):
    with pytest.raises(TypeError, match=r"must be plain values.*got Tensor"):
        save_run(tmp_path, task="t", settings={"a": torch.ones(1)}, weights={})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_run_before(run, monkeypatch):
    from ostinato import files

    real, count = files._write, [0]

    def write(path, content):
        count[0] += 1
        if count[0] == 3:
            path.write_bytes(content[:10])
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(files, "_write", write)
    with pytest.raises(SaveError, match="No space left on device"):
        save(run, value=2.0)
    assert torch.equal(load_run(run).weights["embed"], torch.ones(2, 3))
