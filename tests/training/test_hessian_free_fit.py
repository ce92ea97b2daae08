"""`optimizer="hessian-free"` under `training.fit`, for modules of one's own."""

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.training import SequenceModule, TrainingConfig, fit, seed_all, sequence_loss
from ostinato.training.hessian_free import HessianFree, Objective, SquaredError


class Follower(SequenceModule):
    """Follows the running sum of its inputs; starts each batch anew."""

    def __init__(self, config=None, layer=None):
        super().__init__(config)
        self.net = layer or ost.RNN(2, 4)
        self.out = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        y, _ = self.net(batch.inputs)
        return sequence_loss(self.out(y), batch.targets, loss="mse")

    def objective(self, batch):
        y, _ = self.net(batch.inputs)
        return Objective(self.out(y), SquaredError(batch.targets))


class Silent(Follower):
    objective = SequenceModule.objective


class Carrying(Follower):
    def training_step(self, batch, batch_idx):
        y, state = self.net(batch.inputs, self.carried)
        self.carry(state)
        return sequence_loss(self.out(y), batch.targets, loss="mse")


class NoLayers(Follower):
    def __init__(self, config=None):
        super().__init__(config)
        self.net = None
        self.out = nn.Linear(2, 2)

    def training_step(self, batch, batch_idx):
        return sequence_loss(self.out(batch.inputs), batch.targets, loss="mse")

    def objective(self, batch):
        return Objective(self.out(batch.inputs), SquaredError(batch.targets))


def trained(tiny, kind=Follower, **changes):
    options = {"optimizer": "hessian-free", "epochs": 4, "device": "cpu", **changes}
    config = TrainingConfig(**options)
    seed_all(1)
    model = kind(config)
    result = fit(model, tiny.Streams(), config=config, progress=False)
    return model, result


def test_it_lowers_the_loss_of_ones_own_module(tiny):
    model, result = trained(tiny, damping=0.1, accumulate=6)
    assert result.steps == 4
    pieces = tiny.Streams().epoch(0)
    with torch.no_grad():
        after = sum(model.training_step(piece, 0).item() for piece in pieces) / len(pieces)
        seed_all(1)
        fresh = Follower()
        before = sum(fresh.training_step(piece, 0).item() for piece in pieces) / len(pieces)
    assert after < 0.2 * before


def test_a_step_is_that_of_the_optimiser_on_the_gathered_batches(tiny):
    options = {"damping": 0.5, "structural_damping": 0.2, "cg_iterations": 9}
    model, _ = trained(tiny, epochs=1, accumulate=6, curvature_batches=2, **options)
    seed_all(1)
    other = Follower()

    def closure(piece):
        def call():
            y, _ = other.net(piece.inputs)
            return other.out(y), SquaredError(piece.targets), y

        return call

    closures = [closure(piece) for piece in tiny.Streams().epoch(0)]
    optimizer = HessianFree(other, damping=0.5, structural=0.2, iterations=9)
    optimizer.step(closures, closures[:2])
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_report_of_the_last_step_is_at_hand_while_training(tiny):
    seen = []

    class Asking(Follower):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            seen.append(self.report)

    trained(tiny, Asking, max_steps=2)
    assert [report.step for report in seen] == [1, 2]
    assert seen[0].objective_after < seen[0].objective


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Silent, {}, r"Silent does not say .*Define objective\(batch\)"),
        (Carrying, {}, "Carrying carries its state from batch to batch"),
        (NoLayers, {"structural_damping": 0.1}, "NoLayers has called no recurrent layer"),
    ],
)
def test_modules_that_it_cannot_train_are_refused(tiny, kind, options, message):
    with pytest.raises(ValueError, match=message):
        trained(tiny, kind, **options)


def test_a_module_that_was_trained_so_can_be_trained_otherwise(tiny):
    model, _ = trained(tiny)
    before = [p.detach().clone() for p in model.parameters()]
    config = TrainingConfig(epochs=1, device="cpu")
    assert fit(model, tiny.Streams(), config=config, progress=False).steps == 6
    assert not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
