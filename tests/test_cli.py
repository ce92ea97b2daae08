from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ostinato.cli import main, run
from ostinato.config import read_config

TINY = [
    *("--set", "model.hidden_size=8", "--set", "model.num_layers=1", "--set", "model.dropout=0.0"),
    *("--set", "data.batch_size=2", "--set", "data.chunk_length=8"),
    *("--set", "training.max_steps=3", "--device", "cpu"),
]
TEXT = "to be or not to be, that is the question.\n" * 20


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "text.txt").write_text(TEXT)
    assert run(["fit", "text", str(folder / "text.txt"), "--out", str(folder / "run"), *TINY]) == 0
    return folder / "run"


def ostinato(*arguments, **options):
    command = [sys.executable, "-m", "ostinato", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# fitting


def test_fit_reports_the_score_beside_the_guesses_and_names_the_next_command(
    text, tmp_path, capsys
):
    out = tmp_path / "run"
    assert run(["fit", "text", str(text), "--out", str(out), *TINY]) == 0
    said, beside = capsys.readouterr()
    assert "nats per character" in said
    assert "uniform" in said
    assert "kneser ney" in said
    assert f"Next: ostinato generate {out}" in beside
    assert (out / "model.safetensors").is_file()


def test_fit_prints_one_json_object(text, tmp_path, capsys):
    arguments = ["fit", "text", str(text), "--out", str(tmp_path / "run"), *TINY, "--json"]
    assert run(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["training"]["steps"] == 3
    assert result["held_out"]["nats_per_token"] > 0
    assert result["next"].startswith("ostinato generate")


def settings_of(capsys, *arguments):
    assert run(["fit", "text", "--print-config", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "table", "key", "value"),
    [
        (["--cell", "gru"], "model", "cell", "gru"),
        (["--tokens", "word"], "data", "tokens", "words"),
        (["--tokens", "subword"], "data", "tokens", "subwords"),
        (["--seed", "7"], "training", "seed", 7),
        (["--device", "cpu"], "training", "device", "cpu"),
        (["--devices", "2"], "training", "devices", 2),
        (["--devices", "0,1"], "training", "devices", "0,1"),
        (["--nodes", "3"], "training", "nodes", 3),
        (["--strategy", "ddp"], "training", "strategy", "ddp"),
        (["--set", "training.clip=none"], "training", "clip", None),
        (["--set", "model.cell_options={reset = 'before'}"], "model", "cell_options", None),
    ],
)
def test_each_option_changes_its_setting_only(capsys, arguments, table, key, value):
    before, after = settings_of(capsys), settings_of(capsys, *arguments)
    assert before[table][key] != after[table][key]
    if key == "cell_options":
        value = {"reset": "before"}
    assert after[table].pop(key) == value
    before[table].pop(key)
    assert before == after


def test_options_win_over_single_settings_and_these_over_the_file(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text("[model]\ncell = 'elman'\nhidden_size = 5\n[training]\nseed = 1\n")
    arguments = ["--config", str(path), "--set", "model.hidden_size=6", "--set", "model.cell=gru"]
    found = settings_of(capsys, *arguments, "--cell", "mgu")
    assert (found["model"]["cell"], found["model"]["hidden_size"]) == ("mgu", 6)
    assert found["training"]["seed"] == 1


def test_printed_settings_are_a_file_that_gives_the_same_settings(tmp_path, capsys):
    arguments = ["--set", "training.clip=none", "--set", "data.separator='a\\nb'"]
    wanted = settings_of(capsys, *arguments)
    assert run(["fit", "text", "--print-config", *arguments]) == 0
    path = tmp_path / "printed.toml"
    path.write_text(capsys.readouterr().out)
    assert read_config(path)
    assert settings_of(capsys, "--config", str(path)) == wanted


def test_a_preset_is_taken_by_its_name(capsys):
    assert settings_of(capsys, "--config", "demo") != settings_of(capsys)


def test_a_run_is_not_lost_unless_asked_for(fitted, text, capsys):
    arguments = ["fit", "text", str(text), "--out", str(fitted), *TINY]
    weights = (fitted / "model.safetensors").read_bytes()
    assert run(arguments) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (fitted / "model.safetensors").read_bytes() == weights


def test_resume_goes_on_to_the_same_weights(text, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit = ["fit", "text", str(text), *TINY, "--set", "training.schedule=constant", "--out"]
    assert run([*fit, str(whole), "--set", "training.max_steps=6"]) == 0
    assert run([*fit, str(parts)]) == 0
    resume = ["--resume", "--set", "training.max_steps=6", "--json"]
    capsys.readouterr()
    assert run(["fit", "text", str(text), "--out", str(parts), *resume]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["steps"] == 6
    one, two = ((folder / "model.safetensors").read_bytes() for folder in (whole, parts))
    assert one == two


# asking


def test_generate_writes_the_prompt_and_its_continuation(fitted, capsys):
    arguments = ["generate", str(fitted), "--prompt", "to be", "--length", "9", "--seed", "3"]
    assert run(arguments) == 0
    said, beside = capsys.readouterr()
    assert said.startswith("to be")
    assert len(said) == 5 + 9 + 1
    assert f"Next: ostinato eval {fitted} FILE" in beside
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == [said[:-1]]


@pytest.mark.parametrize(
    "option",
    [
        ["--temperature", "0"],
        ["--top-k", "1"],
        ["--top-p", "0.05"],
        ["--repetition-penalty", "9"],
        ["--seed", "4"],
        ["--beam", "2"],
        ["--length", "31"],
    ],
)
def test_each_way_of_writing_changes_the_text(fitted, capsys, option):
    base = ["generate", str(fitted), "--prompt", "to", "--length", "30", "--seed", "3"]
    texts = []
    for arguments in (base, [*base, *option]):
        assert run(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] != texts[1]


def test_several_prompts_give_several_texts(fitted, capsys):
    prompts = ["--prompt", "to", "--prompt", "that is"]
    assert run(["generate", str(fitted), *prompts, "--length", "5", "--json"]) == 0
    texts = json.loads(capsys.readouterr().out)["texts"]
    assert [text[:-5] for text in texts] == ["to", "that is"]


def test_eval_scores_a_text(fitted, text, capsys):
    assert run(["eval", str(fitted), str(text), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["tokens"] == len(TEXT) - 1
    assert run(["eval", str(fitted), str(text), "--held-out"]) == 0
    said, beside = capsys.readouterr()
    assert f"{len(TEXT) // 10 - 1} characters of {text}" in said
    assert "Next: ostinato generate" in beside


# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "text"], "name a file to learn from"),
        (["fit", "text", "TEXT"], "name a folder for the run"),
        (["fit", "text", "nowhere.txt", "--out", "OUT"], "no file or folder nowhere.txt"),
        (["fit", "text", "EMPTY", "--out", "OUT"], "is empty"),
        (["fit", "text", "BINARY", "--out", "OUT"], "binary"),
        (["fit", "text", "LATIN", "--out", "OUT"], "is not utf-8 text"),
        (["fit", "text", "SAME", "--out", "OUT"], "only one kind of character"),
        (["fit", "text", "SHORT", "--out", "OUT"], "Give more text"),
        (["fit", "text", "TEXT", "--out", "OUT", "--set", "model.hiden_size=3"], "hidden_size"),
        (["fit", "text", "TEXT", "--out", "OUT", "--set", "hidden_size=3"], "model.hidden_size"),
        (["fit", "text", "TEXT", "--out", "OUT", "--set", "novalue"], "write key=value"),
        (["fit", "text", "TEXT", "--out", "OUT", "--config", "nope"], "no configuration 'nope'"),
        (["fit", "text", "TEXT", "--out", "OUT", "--cell", "lstn"], "lstm"),
        (["fit", "text", "TEXT", "--out", "OUT", "--cell", "no_such_module:Cell"], "no_such_mod"),
        (["fit", "text", "TEXT", "--out", "OUT", "--tokens", "letters"], "letters"),
        (["fit", "text", "TEXT", "--out", "OUT", "--resume"], "OUT"),
        (["fit", "text", "TEXT", "--out", "TEXT", *TINY], "text.txt"),
        (["generate", "RUN", "--beam", "2", "--temperature", "0.5"], "beam=1"),
        (["fit", "txt"], "text"),
        (["generate", "OUT"], "OUT"),
        (["generate", "RUN", "--prompt", "Ω"], "Ω"),
        (["generate", "RUN", "--temperature", "-1"], "temperature"),
        (["generate", "RUN", "--top-p", "2"], "top_p"),
        (["generate", "RUN", "--device", "toaster"], "--device toaster"),
        (["eval", "RUN", "nowhere.txt"], "nowhere.txt"),
        (["data", "get", "tinyshakspeare"], "Did you mean tinyshakespeare?"),
        (["dmo"], "demo"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    arguments, message, fitted, text, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    contents = {
        "EMPTY": b"",
        "BINARY": b"\x00\x01\x02" * 50,
        "LATIN": "é".encode("latin-1") * 50,
        "SAME": b"a" * 5000,
        "SHORT": b"ab",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    places = {"TEXT": str(text), "RUN": str(fitted)}
    assert run([places.get(argument, argument) for argument in arguments]) == 2
    said, beside = capsys.readouterr()
    assert said == ""
    first, *rest = beside.splitlines()
    assert first.startswith("Error: ")
    assert message in first
    assert all(line.startswith("Next: ") for line in rest)
    assert "Traceback" not in beside
    assert not (tmp_path / "OUT" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--device", "tpuu"], "tpuu"), (["--set", "training.lr=1e30"], "lower lr")],
)
def test_training_that_cannot_go_on_is_said_in_one_line(arguments, message, text, tmp_path, capsys):
    assert run(["fit", "text", str(text), "--out", str(tmp_path / "run"), *TINY, *arguments]) == 2
    said, beside = capsys.readouterr()
    assert said == ""
    assert beside.startswith("Error: ")
    assert message in beside
    assert len(beside.splitlines()) == 1


def test_a_tampered_run_is_refused(fitted, tmp_path, capsys):
    import shutil

    shutil.copytree(fitted, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert run(["generate", str(tmp_path / "run")]) == 2
    assert "model.safetensors" in capsys.readouterr().err


def test_a_fault_of_ours_is_owned_up_to(monkeypatch, capsys):
    from ostinato.data import catalog

    def broken(name):
        raise KeyError("oops")

    monkeypatch.setattr(catalog, "find", broken)
    assert run(["data", "list"]) == 1
    beside = capsys.readouterr().err
    assert "a fault in Ostinato" in beside
    assert "Next: ostinato --debug data list" in beside
    assert "Traceback" not in beside
    assert run(["--debug", "data", "list"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_help_is_given_where_nothing_is_asked(capsys):
    run([])
    said, beside = capsys.readouterr()
    assert "Start with: ostinato demo" in said + beside


def test_a_closed_pipe_is_no_error(fitted):
    command = f"{sys.executable} -m ostinato generate {fitted} --length 20000 | head -c 5"
    done = subprocess.run(command, shell=True, capture_output=True, check=False, timeout=120)
    assert len(done.stdout) == 5
    assert b"Traceback" not in done.stderr
    assert b"Error" not in done.stderr


# data


def test_data_list_says_what_is_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OSTINATO_DATA", str(tmp_path))
    monkeypatch.setattr("ostinato.data.catalog.cache_folder", lambda: tmp_path)
    assert run(["data", "list"]) == 0
    said, beside = capsys.readouterr()
    assert "tinyshakespeare" in said
    assert "Next: ostinato data get" in beside
    assert run(["data", "list", "--json"]) == 0
    sets = json.loads(capsys.readouterr().out)["sets"]
    assert [entry["here"] for entry in sets] == [False] * 6


@pytest.mark.data
def test_data_get_prints_paths_and_what_to_do_with_them(capsys):
    if not os.environ.get("OSTINATO_DATA"):
        pytest.skip("OSTINATO_DATA names no folder with the real data sets")
    assert run(["data", "get", "tinyshakespeare"]) == 0
    said, beside = capsys.readouterr()
    assert f"Next: ostinato fit text {said.strip()} --out" in beside


def test_data_get_out_of_reach_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OSTINATO_DATA", raising=False)
    arguments = ["data", "get", "ett", "--mirror", "http://127.0.0.1:9", "--cache", str(tmp_path)]
    assert run(arguments) == 2
    assert "http://127.0.0.1:9/zhouhaoyi" in capsys.readouterr().err


# the command itself


@pytest.mark.parametrize("arguments", [[], ["fit"], ["fit", "text"], ["generate"], ["data", "get"]])
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys; from ostinato.cli import run; code = run(sys.argv[1:]); "
        "heavy = {'torch', 'lightning', 'numpy', 'pooch', 'tokenizers'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_ctrl_c_saves_and_says_how_to_go_on(text, tmp_path):
    import signal
    import time

    out = tmp_path / "run"
    arguments = [*TINY, "--set", "training.max_steps=1000000", "--set", "training.epochs=none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ostinato", "fit", "text", str(text), "--out", str(out), *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # the metrics begin once training does
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if (out / "metrics.jsonl").is_file() and (out / "metrics.jsonl").stat().st_size:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, beside = process.communicate(timeout=120)
    assert process.returncode == 130, beside
    assert "stopped early" in said
    assert f"Next: ostinato fit text {text} --out {out} --resume" in beside
    assert run(["generate", str(out), "--length", "3"]) == 0


def test_a_cell_of_ones_own_is_found_in_the_folder_one_is_in(tmp_path, monkeypatch, capsys):
    (tmp_path / "cells_of_mine.py").write_text("from ostinato.cells import GRU as Mine\n")
    (tmp_path / "json.py").write_text("raise ImportError('this is not the json you look for')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    text = "the cat sat.\n" * 50
    (tmp_path / "text.txt").write_text(text)
    arguments = ["fit", "text", "text.txt", "--out", "run", *TINY, "--cell", "cells_of_mine:Mine"]
    monkeypatch.setattr(sys, "argv", ["ostinato", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert sys.path[-1] == str(tmp_path)
    assert "Saved in run" in capsys.readouterr().out
    del sys.modules["cells_of_mine"]
