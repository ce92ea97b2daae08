"""A run that is killed and taken up again ends with the very same weights."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Callback
from torch.utils.data import DataLoader

from ostinato import files
from ostinato.files import SaveError
from ostinato.training import RunError
from ostinato.training.checkpoint import read_checkpoint

VARIANTS = {
    "plain": {},
    "averaged": {"ema": 0.9},
    "plateau": {"schedule": "plateau", "plateau_patience": 1, "lr": 0.5},
    "steps": {"val_every": 4, "max_steps": 11},
    "gathered": {"accumulate": 2},
    "sgd": {"optimizer": "sgd", "schedule": "linear", "warmup_steps": 3},
    "value": {"clip": 0.01, "clip_by": "value", "keep_best": False},
}


class Die(Callback):
    """Ends the process as kill -9 would, right after a batch."""

    def __init__(self, batch):
        self.batch = batch

    def on_train_batch_end(self, *_):
        self.batch -= 1
        if self.batch < 0:
            raise Crash


class Crash(BaseException):
    pass


def interrupted_then_resumed(tiny, folder, batch, **changes):
    with pytest.raises(Crash):
        tiny.train(folder, callbacks=[Die(batch)], **changes)
    torch.manual_seed(12345)
    return tiny.train(folder, resume=True, **changes)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch", [4, 6, 8])
def test_a_crash_leaves_no_trace_in_the_final_weights(tiny, tmp_path, variant, batch):
    changes = {"save_every": 1, **VARIANTS[variant]}
    straight, result = tiny.train(tmp_path / "straight", **changes)
    resumed, again = interrupted_then_resumed(tiny, tmp_path / "broken", batch, **changes)
    assert tiny.same(tiny.weights(straight), tiny.weights(resumed))
    assert (again.steps, again.best, again.best_step) == (
        result.steps,
        result.best,
        result.best_step,
    )
    assert again.epochs == result.epochs
    assert again.tokens == result.tokens


class CtrlC(Callback):
    """Asks the run to end, as Ctrl-C does, after some batches."""

    def __init__(self, batches):
        self.batches = batches

    def on_train_batch_end(self, *_):
        self.batches -= 1
        if self.batches == 0:
            signal.raise_signal(signal.SIGINT)


# the end of an epoch, of six batches, is no place to leave: the next step is made, too
@pytest.mark.parametrize(("gathered", "batches", "steps"), [(2, 1, 1), (2, 3, 2), (3, 4, 3)])
def test_ctrl_c_amid_the_batches_of_a_step_lets_the_step_be_made(
    tiny, tmp_path, gathered, batches, steps
):
    straight, _ = tiny.train(tmp_path / "straight", accumulate=gathered)
    _, stopped = tiny.train(tmp_path / "parts", accumulate=gathered, callbacks=[CtrlC(batches)])
    assert (stopped.stopped, stopped.steps) == ("interrupted", steps)
    resumed, _ = tiny.train(tmp_path / "parts", accumulate=gathered, resume=True)
    assert tiny.same(tiny.weights(straight), tiny.weights(resumed))


def test_a_crash_leaves_no_trace_in_the_metrics(tiny, tmp_path):
    tiny.train(tmp_path / "straight", save_every=1, ema=0.9)
    interrupted_then_resumed(tiny, tmp_path / "broken", 9, save_every=3, ema=0.9)
    timeless = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "tokens_per_s")}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("straight", "broken")
    ]
    assert timeless[0] == timeless[1]
    assert [line["step"] for line in timeless[0]] == [2, 4, 6, 6, 8, 10, 12, 12]


@pytest.mark.parametrize("loader", ["unsized", "shuffled"])
def test_any_loader_is_taken_up_where_it_was(tiny, tmp_path, loader):
    def make():
        if loader == "unsized":
            return tiny.Listing()
        pieces = tiny.Streams().epoch(0)
        return DataLoader(pieces, batch_size=None, shuffle=True)

    straight, _ = tiny.train(tmp_path / "straight", loader=make())
    with pytest.raises(Crash):
        tiny.train(tmp_path / "broken", loader=make(), save_every=1, callbacks=[Die(8)])
    resumed, _ = tiny.train(tmp_path / "broken", loader=make(), save_every=2, resume=True)
    other_order, _ = tiny.train(loader=make(), seed=7)
    assert tiny.same(tiny.weights(straight), tiny.weights(resumed))
    assert not tiny.same(tiny.weights(straight), tiny.weights(other_order))


SCRIPT = """
import importlib.util, os, signal, sys, time
source, folder, wait = sys.argv[1:4]
spec = importlib.util.spec_from_file_location("tiny", source)
tiny = importlib.util.module_from_spec(spec)
sys.modules["tiny"] = tiny
spec.loader.exec_module(tiny)
import torch
from lightning.pytorch import Callback
torch.set_num_threads(1)

def tell(number):
    handle = signal.getsignal(number)

    def heard(*given):
        print("heard", flush=True)
        handle(*given)

    signal.signal(number, heard)

class Wait(Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == int(wait):
            tell(signal.SIGINT)
            tell(signal.SIGTERM)
            print("waiting", flush=True)
            sys.stdin.readline()

model, result = tiny.train(
    folder, callbacks=[Wait()], save_every=2, epochs=4, ema=0.9
)
print("end", result.stopped, result.steps, flush=True)
"""


def run_script(tiny, folder, *, wait, signals):
    """Train in a process of its own, which is sent signals while it waits after some step."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, tiny.source, folder, str(wait)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, text=True, cwd=folder.parent, **pipes)
    assert process.stdout.readline() == "waiting\n"
    for number in signals:
        process.send_signal(number)
        # the next is to come when this one has been heard
        if number != signal.SIGKILL:
            assert process.stdout.readline() == "heard\n"
    try:
        out, err = process.communicate("\n", timeout=60)
    except BrokenPipeError:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "code", "kept"), [("SIGKILL", -9, 13), ("SIGINT", 0, 15), ("SIGTERM", 0, 15)]
)
def test_a_signal_ends_the_run_and_resume_makes_up_for_it(tiny, tmp_path, number, code, kept):
    folder = tmp_path / "run"
    sent = [getattr(signal, number)]
    ended, out, err = run_script(tiny, folder, wait=15, signals=sent)
    assert ended == code, err
    if code == 0:
        assert "end interrupted 15" in out
        assert err == ""
    assert read_checkpoint(folder / "checkpoint")["global_step"] == kept
    assert not (tmp_path / "lightning_logs").exists()
    resumed, result = tiny.train(folder, resume=True, save_every=2, epochs=4, ema=0.9)
    straight, _ = tiny.train(save_every=2, epochs=4, ema=0.9)
    assert (result.stopped, result.steps) == ("finished", 24)
    assert tiny.same(tiny.weights(straight), tiny.weights(resumed))


def test_a_second_ctrl_c_ends_at_once(tiny, tmp_path):
    sent = [signal.SIGINT, signal.SIGINT]
    ended, out, err = run_script(tiny, tmp_path / "run", wait=3, signals=sent)
    assert ended in (1, -signal.SIGINT, 130)
    assert "KeyboardInterrupt" in err
    assert "end" not in out


def test_ctrl_c_is_pythons_again_afterwards(tiny):
    before = signal.getsignal(signal.SIGINT)
    tiny.train(epochs=1)
    assert signal.getsignal(signal.SIGINT) is before


def full_disk(monkeypatch, after):
    """Every write from now on fails, once `after` have passed."""
    real = files._write
    left = [after]

    def write(path, content):
        if left[0] == 0:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        real(path, content)

    monkeypatch.setattr(files, "_write", write)


def test_a_full_disk_does_not_stop_the_training_but_the_end_says_so(
    tiny, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    # the environment (2 writes) and the first checkpoint (3) fit
    full_disk(monkeypatch, after=5)
    with pytest.raises(SaveError, match=r"No space left on device.*intact"):
        tiny.train(folder, save_every=2)
    monkeypatch.undo()
    assert capsys.readouterr().err.count("Training goes on") == 1
    assert read_checkpoint(folder / "checkpoint")["global_step"] == 1
    resumed, _ = tiny.train(folder, save_every=2, resume=True)
    assert tiny.same(tiny.weights(resumed), tiny.weights(tiny.train(save_every=2)[0]))


def test_a_finished_run_is_not_trained_again(tiny, tmp_path):
    model, result = tiny.train(tmp_path, ema=0.5)
    again, same_result = tiny.train(tmp_path, ema=0.5, resume=True)
    assert tiny.same(tiny.weights(model), tiny.weights(again))
    assert (same_result.stopped, same_result.steps) == ("finished", result.steps)
    assert same_result.best == result.best
    assert same_result.metrics["val_loss"] == result.metrics["val_loss"]


@pytest.mark.parametrize(
    ("short", "long"),
    [({"epochs": 1}, {"epochs": 2}), ({"max_steps": 4}, {"max_steps": 9})],
    ids=["epochs", "steps"],
)
def test_a_finished_run_can_be_made_longer(tiny, tmp_path, short, long):
    rest = {"schedule": "constant", "keep_best": False}
    tiny.train(tmp_path, **rest, **short)
    longer, result = tiny.train(tmp_path, resume=True, **rest, **long)
    straight, straight_result = tiny.train(**rest, **long)
    assert result.steps == straight_result.steps
    assert tiny.same(tiny.weights(longer), tiny.weights(straight))


def test_a_run_that_lost_patience_stays_ended_until_it_gets_more(tiny, tmp_path):
    changes = {"lr": 0.0, "epochs": 9, "val_every": 2}
    _, result = tiny.train(tmp_path, patience=2, **changes)
    assert (result.stopped, result.steps, result.best_step) == ("patience", 6, 2)
    _, result = tiny.train(tmp_path, patience=2, resume=True, **changes)
    assert (result.stopped, result.steps) == ("patience", 6)
    _, result = tiny.train(tmp_path, patience=4, resume=True, **changes)
    assert (result.stopped, result.steps) == ("patience", 10)


def test_resume_refuses_settings_that_would_change_the_course(tiny, tmp_path):
    tiny.train(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"lr is 0\.1 but the run was begun with 0\.05"):
        tiny.train(tmp_path, epochs=1, resume=True, lr=0.1)
    tiny.train(tmp_path, epochs=2, resume=True)
    with pytest.raises(ValueError, match="has had 2 epochs already"):
        tiny.train(tmp_path, epochs=1, resume=True)


def test_resume_needs_something_to_resume(tiny, tmp_path):
    with pytest.raises(ValueError, match="needs run_dir"):
        tiny.train(resume=True)
    with pytest.raises(RunError, match="nothing to resume"):
        tiny.train(tmp_path / "nowhere", resume=True)


def test_saves_come_by_the_clock_too(tiny, tmp_path):
    with pytest.raises(Crash):
        tiny.train(tmp_path, callbacks=[Die(3)], save_seconds=0.0)
    assert read_checkpoint(tmp_path / "checkpoint")["global_step"] == 3
    with pytest.raises(Crash):
        tiny.train(tmp_path / "never", callbacks=[Die(3)], save_seconds=1e9)
    # but for the very first, there is always something to resume
    assert read_checkpoint(tmp_path / "never" / "checkpoint")["global_step"] == 1


def test_a_new_run_never_resumes_the_one_that_was_there_before(tiny, tmp_path):
    tiny.train(tmp_path)
    with pytest.raises(Crash):
        tiny.train(tmp_path, seed=3, callbacks=[Die(0)])
    with pytest.raises(RunError, match="no whole checkpoint"):
        tiny.train(tmp_path, seed=3, resume=True)
