import math

import pytest
import torch
from torch import nn

from ostinato.training import TrainingConfig, fit
from ostinato.training.noise import GradientNoise


def noise_of(step, **options):
    weight = nn.Parameter(torch.zeros(40_000))
    weight.grad = torch.ones(40_000)
    GradientNoise(0.3, **options)([weight, nn.Parameter(torch.zeros(1))], step)
    return weight.grad - 1


@pytest.mark.parametrize("step", [0, 1, 99, 10_000])
def test_the_variance_fades_as_the_paper_says(step):
    drawn = noise_of(step)
    sigma = math.sqrt(0.3 / (1 + step) ** 0.55)
    # the estimate of a standard deviation from n draws is off by sigma / sqrt(2 n)
    assert float(drawn.std()) == pytest.approx(sigma, rel=5 / math.sqrt(80_000))
    assert abs(float(drawn.mean())) < 5 * sigma / 200


def test_draws_depend_on_seed_and_step_alone():
    torch.manual_seed(0)
    first = noise_of(3)
    torch.manual_seed(1)
    assert torch.equal(noise_of(3), first)
    assert not torch.equal(noise_of(4), first)
    assert not torch.equal(noise_of(3, seed=1), first)


def test_no_decay_is_the_same_noise_for_ever():
    noise = GradientNoise(0.04, decay=0)
    assert noise.deviation(0) == noise.deviation(10**6) == pytest.approx(0.2)


def test_the_training_adds_it_after_clipping(tiny):
    def moved(eta):
        model = tiny.Model()
        config = TrainingConfig(
            optimizer="sgd",
            momentum=0.0,
            lr=1.0,
            weight_decay=0.0,
            schedule="constant",
            clip=1e-6,
            gradient_noise=eta,
            max_steps=1,
            device="cpu",
        )
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        fit(model, tiny.Streams(), config=config, progress=False)
        return torch.cat([p.detach().flatten() for p in model.parameters()]) - before

    # what is clipped is far too small to be seen beside the noise
    assert float(moved(None).abs().max()) < 1e-5
    assert float(moved(0.01).std()) == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    ("options", "message"), [({"eta": 0.0}, "above 0"), ({"eta": 1.0, "decay": -1}, "0 or more")]
)
def test_bad_noise_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GradientNoise(**options)
