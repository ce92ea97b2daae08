"""A run that is killed and taken up again ends with the very same weights."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from lightning.pytorch import Callback

from ostinato.training import RunError, TrainingConfig
from ostinato.training.files import SaveError

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
@pytest.mark.parametrize("batch", [3, 6, 8])
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
