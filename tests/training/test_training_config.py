import numpy as np
import pytest

from ostinato.training import TrainingConfig
from ostinato.training.config import lightning_precision


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optimizer": "adagrad"},
            "optimizer must be one of adamw, adam, sgd, hessian-free, got 'adagrad'",
        ),
        ({"schedule": "cos"}, "schedule must be one of"),
        ({"clip_by": "max"}, "clip_by must be one of norm, value"),
        ({"lr": -1.0}, "lr must be at least 0.0, got -1.0"),
        ({"lr": float("nan")}, "lr must be at least"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"ema": 1.0}, "ema must be in 0..1, 1 excluded, got 1.0"),
        ({"final_lr": 2.0}, "final_lr is a share of lr"),
        ({"clip": 0.0}, "clip must be positive"),
        ({"optimizer": "sgd", "beta2": 0.9}, "beta2 belongs to adam"),
        ({"epochs": None}, "no end. Give epochs, max_steps or max_time"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"epochs": 1.5}, "epochs must be a whole number or"),
        ({"deterministic": "yes"}, "deterministic must be true or false"),
        ({"devices": 0}, "devices must be how many .*got 0"),
        ({"devices": "both"}, "devices must be how many .*got 'both'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)


def test_an_unknown_setting_is_met_with_the_nearest():
    with pytest.raises(ValueError, match=r"no setting 'learning'.*"):
        TrainingConfig.from_dict({"learning": 1})
    with pytest.raises(ValueError, match="Did you mean 'max_steps'"):
        TrainingConfig.from_dict({"maxsteps": 1})


def test_settings_survive_a_dictionary():
    config = TrainingConfig(lr=0.1, clip=None, devices="auto")
    assert TrainingConfig.from_dict(config.to_dict()) == config


def test_resume_may_change_the_length_but_not_the_course():
    begun = TrainingConfig(epochs=2).to_dict()
    TrainingConfig(epochs=5, patience=3, device="cpu").check_resumes(begun)
    with pytest.raises(ValueError, match="seed is 1 but the run was begun with 0"):
        TrainingConfig(seed=1).check_resumes(begun)


@pytest.mark.parametrize(
    ("name", "lightnings"),
    [("32", "32-true"), ("bf16", "bf16-mixed"), ("16", "16-mixed"), ("bf16-true", "bf16-true")],
)
def test_precisions_have_short_names(name, lightnings):
    assert lightning_precision(TrainingConfig(precision=name)) == lightnings


def test_automatic_precision_is_full_on_a_processor():
    assert lightning_precision(TrainingConfig(precision="auto", device="cpu")) == "32-true"


def test_numbers_of_numpy_are_numbers():
    config = TrainingConfig(epochs=np.int64(3), lr=np.float32(0.5), weight_decay=1)
    assert config == TrainingConfig(epochs=3, lr=0.5, weight_decay=1.0)
    assert type(config.epochs) is int
    assert type(config.weight_decay) is float


@pytest.mark.parametrize("devices", [1, 3, -1, "-1", "2", "0,", "0,1", "auto"])
def test_devices_are_counted_or_named(devices):
    assert TrainingConfig(devices=devices).devices == devices
