import io
import json

import pytest
import torch
from rich.console import Console

from ostinato.training import SequenceModule, TrainingConfig, fit
from ostinato.training.progress import Live
from ostinato.training.recorder import Lines


class Steady(SequenceModule):
    """A loss that counts the batches, and gradients of a known norm."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def training_step(self, batch, batch_idx):
        # gradients (3, 4) and (0.3, 0.4) in turn
        size = 1.0 if batch_idx % 2 == 0 else 0.1
        gradient = size * torch.tensor([3.0, 4.0])
        loss = (self.weight - self.weight.detach()) @ gradient + batch
        return {"loss": loss, "tokens": 7}


def run(tmp_path, **changes):
    settings = {"epochs": 1, "schedule": "linear", "lr": 1.0, "device": "cpu", "log_every": 2}
    config = TrainingConfig(**{**settings, **changes})
    fit(Steady(), [torch.tensor(float(k)) for k in range(5)], config=config, run_dir=tmp_path)
    return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def test_the_figures_are_right(tmp_path):
    lines = run(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 5]
    assert [line["loss"] for line in lines] == [0.5, 2.5, 4.0]
    assert [line["tokens"] for line in lines] == [14, 28, 35]
    assert [line["clipped"] for line in lines] == [0.5, 0.5, 1.0]
    assert [line["grad_norm"] for line in lines] == pytest.approx([0.5, 0.5, 5.0])
    # the rate of the next step
    assert [line["lr"] for line in lines] == pytest.approx([0.6, 0.2, 0.0])
    assert all(line["tokens_per_s"] > 0 for line in lines)


def test_how_often_is_a_setting(tmp_path):
    assert [line["step"] for line in run(tmp_path, log_every=1)] == [1, 2, 3, 4, 5]


def test_lines_after_the_checkpoint_and_half_lines_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    Lines(path, upto=2).add({"step": 3, "new": True})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "new": true}\n'


def test_a_line_that_finds_no_room_waits_for_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = Lines(path)
    path.mkdir()
    lines.add({"step": 1})
    path.rmdir()
    lines.add({"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def watched(tiny, terminal, wanted=True):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160)
    live = Live(wanted, console=console)
    fit(
        tiny.Model(),
        tiny.Streams(),
        tiny.Streams().epoch(99)[:2],
        config=tiny.settings(log_every=1),
        progress=live,
    )
    return text.getvalue()


def test_a_terminal_sees_how_it_goes(tiny):
    text = watched(tiny, terminal=True)
    for part in ("12/12", "loss ", "val_loss ", "grad ", "clipped ", "tokens/s", "left"):
        assert part in text


def test_others_see_nothing(tiny):
    assert watched(tiny, terminal=False) == ""
    assert watched(tiny, terminal=True, wanted=False) == ""


def test_the_environment_is_recorded_at_each_start(tiny, tmp_path):
    tiny.train(tmp_path, epochs=1, seed=4)
    tiny.train(tmp_path, epochs=2, seed=4, resume=True)
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    assert [start["training"]["epochs"] for start in starts] == [1, 2]
    assert starts[0]["seed"] == 4
    assert starts[0]["packages"]["torch"] == torch.__version__.split("+")[0] or starts[0][
        "packages"
    ]["torch"].startswith(torch.__version__.split("+")[0])
    assert {"command", "python", "system", "threads", "time"} <= starts[0].keys()
