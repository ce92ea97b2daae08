"""Every setting reaches the training, and nothing else comes out of it."""

import json
import math
import subprocess
import sys
import warnings

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ostinato.files import SaveError
from ostinato.training import (
    SequenceModule,
    TrainingConfig,
    fit,
    load_run,
    make_trainer,
    save_run,
)
from ostinato.training.recorder import DivergedError

# setting -> what else must be set for it to matter
CHANGES = {
    "optimizer": ({"optimizer": "adam", "weight_decay": 0.5}, {"weight_decay": 0.5}),
    "lr": ({"lr": 0.1}, {}),
    "weight_decay": ({"weight_decay": 0.5}, {}),
    "momentum": ({"momentum": 0.5}, {}),
    "beta2": ({"beta2": 0.9}, {}),
    "schedule": ({"schedule": "constant"}, {}),
    "warmup_steps": ({"warmup_steps": 5}, {}),
    "final_lr": ({"final_lr": 0.5}, {}),
    "plateau_patience": (
        {"schedule": "plateau", "plateau_patience": 1, "val_every": 1, "lr": 1.0},
        {"schedule": "plateau", "val_every": 1, "lr": 1.0},
    ),
    "plateau_factor": (
        {
            "schedule": "plateau",
            "plateau_patience": 1,
            "val_every": 1,
            "lr": 1.0,
            "plateau_factor": 0.1,
        },
        {"schedule": "plateau", "plateau_patience": 1, "val_every": 1, "lr": 1.0},
    ),
    "clip": ({"clip": 0.01}, {}),
    "clip_by": ({"clip": 0.01, "clip_by": "value"}, {"clip": 0.01}),
    "accumulate": ({"accumulate": 2}, {}),
    "epochs": ({"epochs": 3}, {}),
    "max_steps": ({"max_steps": 5}, {}),
    "ema": ({"ema": 0.9}, {}),
    "val_every": ({"val_every": 5, "lr": 1.0}, {"lr": 1.0}),
    "monitor_mode": ({"monitor_mode": "max", "lr": 1.0}, {"lr": 1.0}),
    "keep_best": ({"keep_best": False, "val_every": 2, "lr": 1.0}, {"val_every": 2, "lr": 1.0}),
    "precision": ({"precision": "bf16"}, {}),
    "seed": ({"seed": 5}, {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_changes_the_weights(tiny, name):
    changed, base = CHANGES[name]
    one, _ = tiny.train(**changed)
    other, _ = tiny.train(**base)
    assert not tiny.same(tiny.weights(one), tiny.weights(other))


def test_the_same_seed_gives_the_same_weights(tiny):
    torch.manual_seed(99)
    one, _ = tiny.train()
    torch.rand(5)
    other, _ = tiny.train()
    assert tiny.same(tiny.weights(one), tiny.weights(other))


def test_devices_nodes_and_strategy_reach_lightning():
    config = TrainingConfig(
        device="cpu", devices=2, strategy="ddp", precision="64", deterministic=True
    )
    try:
        trainer = make_trainer(config)
        assert trainer.num_devices == 2
        assert type(trainer.strategy).__name__ == "DDPStrategy"
        assert trainer.precision == "64-true"
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert make_trainer(TrainingConfig(device="cpu", strategy="ddp", nodes=3)).num_nodes == 3


def test_sharded_weights_are_refused():
    with pytest.raises(ValueError, match="strategy='fsdp' keeps the weights in shards"):
        make_trainer(TrainingConfig(strategy="fsdp"))


def test_max_time_ends_the_run(tiny):
    _, result = tiny.train(max_time=0.0, epochs=50)
    assert (result.stopped, result.steps) == ("finished", 1)


def test_what_was_reached_is_validated_before_the_end(tiny):
    _, result = tiny.train(max_steps=4, epochs=None)
    assert result.best_step == 4


def test_patience_and_best(tiny):
    _, result = tiny.train(patience=2, lr=5.0, epochs=30, val_every=1)
    assert result.stopped == "patience"
    assert result.steps == result.best_step + 2
    model, result = tiny.train(lr=5.0, val_every=1, epochs=1)
    with torch.no_grad():
        losses = [model._loss(batch) for batch in tiny.Streams().epoch(99)[:2]]
    assert float(sum(losses) / 2) == pytest.approx(result.best)


def test_the_average_is_what_is_validated(tiny):
    model, result = tiny.train(ema=0.9)
    with torch.no_grad():
        losses = [model._loss(batch) for batch in tiny.Streams().epoch(99)[:2]]
    assert float(sum(losses) / 2) == pytest.approx(result.best)


def test_a_monitor_that_nobody_logs_is_named(tiny):
    with pytest.raises(ValueError, match=r"monitor='accuracy' was not logged.*val_loss"):
        tiny.train(monitor="accuracy", patience=1)


def test_a_loss_that_is_no_number_ends_the_run(tiny, tmp_path):
    class Bad(tiny.Model):
        def training_step(self, batch, batch_idx):
            values = super().training_step(batch, batch_idx)
            if self.trainer.global_step >= 4:
                values["loss"] = values["loss"] * math.nan
            return values

    with pytest.raises(DivergedError, match="lower lr"):
        tiny.train(tmp_path, model=Bad(), save_every=1)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 4


def begin_run(tiny, folder):
    save_run(folder, task="tiny", settings={}, weights=tiny.weights(tiny.Model()))


def test_the_folder_can_be_loaded_at_any_time_and_ends_with_the_result(tiny, tmp_path):
    begin_run(tiny, tmp_path)
    first = load_run(tmp_path).weights
    seen = []

    class Watched(tiny.Model):
        def on_train_epoch_end(self):
            seen.append(load_run(tmp_path).weights)

    model, _ = tiny.train(tmp_path, model=Watched())
    assert not tiny.same(first, seen[0])
    assert tiny.same(load_run(tmp_path).weights, tiny.weights(model))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint",
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "model.safetensors",
    ]


def test_a_full_disk_while_renewing_the_weights_is_only_noted(tiny, tmp_path, monkeypatch, capsys):
    from ostinato.training import trainer

    begin_run(tiny, tmp_path)
    before = load_run(tmp_path).weights

    def full(*_):
        raise SaveError(28, "no room")

    monkeypatch.setattr(trainer, "update_weights", full)
    with pytest.raises(SaveError, match="no room"):
        tiny.train(tmp_path, val_every=1)
    assert "Training goes on" in capsys.readouterr().err
    assert tiny.same(load_run(tmp_path).weights, before)


def test_training_says_nothing_and_leaves_nothing_behind(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny.train()
        tiny.train(val=False)
        tiny.train(ema=0.5, val_every=3, accumulate=2)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_warning_of_the_users_own_passes(tiny):
    class Warns(tiny.Model):
        def on_train_start(self):
            warnings.warn("mind this", stacklevel=1)

    with pytest.warns(UserWarning, match="mind this"):
        tiny.train(model=Warns())


def test_the_module_is_free_of_its_trainer_afterwards(tiny):
    model, result = tiny.train()
    assert model._trainer is None
    assert not model.training
    assert result.epochs == 2
    assert result.tokens == 2 * 6 * 4 * 3


def train_with(tiny, loader, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_trainer(tiny.settings(), **options).fit(tiny.Model(), loader, loader)


def test_a_plain_lightning_trainer_will_do(tiny):
    model = tiny.Model(tiny.settings(clip=0.01))
    before = tiny.weights(model)
    trainer = make_trainer(tiny.settings(epochs=1), max_steps=3)
    loader = DataLoader(tiny.Streams().epoch(0), batch_size=None)
    with warnings.catch_warnings():
        # here Lightning speaks for itself
        warnings.simplefilter("ignore")
        trainer.fit(model, loader, loader)
    assert not tiny.same(before, tiny.weights(model))
    assert model.clipper.steps == 3
    assert model.clipper.share > 0
    with pytest.raises(ValueError, match="clipping is a setting of the module"):
        train_with(tiny, loader, gradient_clip_val=1.0)


def test_an_ordinary_data_loader_and_loss_will_do():
    class Regression(SequenceModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            x, y = batch
            return (self.layer(x) - y).square().mean()

    data = TensorDataset(torch.randn(8, 2), torch.ones(8, 1))
    config = TrainingConfig(epochs=60, lr=0.1, device="cpu")
    result = fit(Regression(), DataLoader(data, 4, shuffle=True), config=config, progress=False)
    assert result.best is None
    assert result.metrics["loss"] < 0.05


DEVICES = """
import importlib.util, sys
source, folder, resume, epochs = sys.argv[1:5]
spec = importlib.util.spec_from_file_location("tiny", source)
tiny = importlib.util.module_from_spec(spec)
sys.modules["tiny"] = tiny
spec.loader.exec_module(tiny)
import torch
torch.set_num_threads(1)
tiny.seed_all(1)
model, result = tiny.train(
    folder, loader=tiny.Streams(rows=4), resume=resume == "yes", val=False, epochs=int(epochs),
    schedule="constant", devices=2, strategy="ddp", model=tiny.TinyModel(dropout=0.0),
)
if result.is_main:
    print(result.steps, result.tokens, flush=True)
    torch.save(model.state_dict(), folder + "/weights.pt")
"""


@pytest.mark.slow
def test_two_devices_equal_one_and_resume_together(tiny, tmp_path):
    script = tmp_path / "devices.py"
    script.write_text(DEVICES)
    for resume, epochs in (("no", "1"), ("yes", "2")):
        command = [sys.executable, script, tiny.source, tmp_path, resume, epochs]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["12", "192"]
    two = torch.load(tmp_path / "weights.pt", weights_only=True)
    torch.manual_seed(0)
    from ostinato.training import seed_all

    seed_all(1)
    model = tiny.Model(dropout=0.0)
    one, _ = tiny.train(loader=tiny.Streams(rows=4), val=False, schedule="constant", model=model)
    for name, tensor in tiny.weights(one).items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)


def test_without_a_batch_there_is_nothing_to_fit(tiny):
    with pytest.raises(ValueError, match="there is no batch to train on"):
        tiny.train(loader=[])


@pytest.mark.parametrize("waiting", [{"patience": 2}, {"schedule": "plateau"}])
def test_what_waits_for_validations_needs_some(tiny, waiting):
    with pytest.raises(ValueError, match="waits for validations, and there is nothing to"):
        tiny.train(val=False, **waiting)


def test_a_plain_module_is_told_what_is_fitted():
    with pytest.raises(TypeError, match="fit trains a SequenceModule, got Linear"):
        fit(torch.nn.Linear(2, 2), [torch.zeros(2)])
