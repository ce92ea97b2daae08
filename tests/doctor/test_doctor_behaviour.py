import pytest
import torch
from torch import nn

import ostinato
from ostinato.doctor import doctor


class Mixing(ostinato.Cell):
    """A cell that takes the mean of the batch away: what a norm over the batch does."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gates = ostinato.cells.Gates("n", input_size, hidden_size)

    def forward(self, x, h):
        (n,) = self.gates(x - x.mean(0, keepdim=True), h)
        return torch.tanh(n)


STACKS = {
    "language_model": lambda model: model.network.stack,
    "tagger": lambda model: model.network.stack,
    "classifier": lambda model: model.network.members[0].stack,
    "forecaster": lambda model: model.network.encoder,
    "composer": lambda model: model.network.stack,
}


def deaf_to(name):
    """A hook that keeps an argument from a layer."""

    def hook(layer, inputs, keywords):
        return inputs, {key: None if key == name else value for key, value in keywords.items()}

    return hook


def without_lengths(task, model):
    if task == "composer":
        # what is behind the end of a piece cannot reach what is before it, but the loss
        nats = model.network.nats
        model.network.nats = lambda notes, lengths: nats(
            notes, torch.full_like(lengths, len(notes))
        )
        return
    stack = model.network.encoder if task == "translator" else STACKS[task](model)
    stack.register_forward_pre_hook(deaf_to("lengths"), with_kwargs=True)


@pytest.mark.parametrize("task", ["tagger", "classifier", "translator", "composer"])
def test_padding_that_is_heard_is_found(task, healthy, ill, well):
    model, data = healthy(task)
    well("padding", model, data)
    without_lengths(task, model)
    found = ill("padding", "severe", model, data)
    assert found.figures["before"] != found.figures["after"]
    assert 0 < found.figures["padding"] < 1


class Last(nn.Module):
    """Reads rows, and says something of what stands at the last step."""

    def __init__(self, kind=nn.GRU):
        super().__init__()
        self.rnn = kind(3, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x, lengths=None):
        if isinstance(self.rnn, ostinato.GRU):
            return self.out(self.rnn(x, lengths=lengths)[1][-1])
        return self.out(self.rnn(x)[0][:, -1])


def padded_batch():
    torch.manual_seed(0)
    return torch.randn(5, 7, 3), torch.tensor([7, 3, 5, 1, 7]), torch.tensor([0, 1, 0, 1, 1])


def test_padding_that_a_plain_module_hears_is_found(ill, well):
    x, lengths, labels = padded_batch()
    loss = nn.CrossEntropyLoss()
    found = ill("padding", "severe", Last(), (x, labels), loss=loss, lengths=lengths)
    assert found.figures["padding"] == pytest.approx(12 / 35)
    well("padding", Last(ostinato.GRU), ((x, lengths), labels), loss=loss, lengths=lengths)


def test_padding_with_time_first_is_found(ill):
    x, lengths, labels = padded_batch()
    net = nn.GRU(3, 8)

    def loss(out, targets):
        return nn.functional.cross_entropy(out[1][-1][:, :2], targets)

    ill("padding", "severe", net, (x.transpose(0, 1), labels), loss=loss, lengths=lengths)


def test_without_lengths_padding_is_not_looked_at():
    x, _, labels = padded_batch()
    report = doctor(Last(), (x, labels), loss=nn.CrossEntropyLoss(), only=["padding"])
    assert "give lengths" in report.skipped["padding"]


@pytest.mark.parametrize("task", STACKS)
def test_rows_that_hear_each_other_are_found(task, healthy, ill, well):
    model, data = healthy(task)
    well("batch_axis", model, data)
    stack = STACKS[task](model)
    torch.manual_seed(0)
    mixing = [Mixing(cell.input_size, cell.hidden_size) for cell in stack.cells]
    mixed = ostinato.Recurrent(mixing, bidirectional=stack.bidirectional)
    network = {"classifier": lambda: model.network.members[0]}.get(task, lambda: model.network)()
    setattr(network, "encoder" if task == "forecaster" else "stack", mixed)
    with torch.no_grad():
        # a forecaster's readout begins at zero
        for weight in network.parameters():
            weight += 0.01
    model.settings = model.settings.changed(cell="elman")
    found = ill("batch_axis", "severe", model, data)
    assert found.figures["touched"] > 0
    assert found.remedy.settings["model.cell_options.layer_norm"] is True


@pytest.mark.parametrize("task", ["translator", "captioner"])
def test_writers_whose_rows_hear_each_other_are_found(task, healthy, make, ill, well):
    well("batch_axis", *healthy(task))
    kind, data = {"translator": "pairs", "captioner": "captions"}[task], healthy(task)[1]
    model = make[f"fit_{kind}"](data, cell=Mixing, max_steps=4)
    model.settings = model.settings.changed(cell="elman")
    ill("batch_axis", "severe", model, data)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, ostinato.LSTM])
def test_a_swapped_batch_axis_is_found(kind, ill, well):
    torch.manual_seed(0)
    net = nn.Sequential(kind(3, 8))
    x = torch.randn(6, 9, 3)
    found = ill("batch_axis", "severe", net, x, batch_axis=0)
    assert "batch_first=True" in found.remedy.command
    assert found.figures["touched"] == 2
    well("batch_axis", net, x, batch_axis=1)
    net = nn.Sequential(kind(3, 8, batch_first=True))
    well("batch_axis", net, x, batch_axis=0)
    found = ill("batch_axis", "severe", net, x, batch_axis=1)
    assert "batch_first=False" in found.remedy.command


def test_the_batch_axis_is_found_by_the_targets_where_they_tell(ill):
    class Wrong(Last):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 8)

    x, _, labels = padded_batch()
    ill("batch_axis", "severe", Wrong(), (x, labels))


def test_a_batch_that_does_not_tell_its_axis_is_not_judged():
    report = doctor(nn.GRU(3, 8), torch.randn(6, 9, 3), only=["batch_axis"])
    assert "give batch_axis" in report.skipped["batch_axis"]
    report = doctor(nn.GRU(3, 8), torch.randn(6, 1, 3), batch_axis=1, only=["batch_axis"])
    assert "one row only" in report.skipped["batch_axis"]


def test_state_that_is_carried_over_the_end_of_a_document_is_found(make, ill, well):
    data = "\n%%\n".join(make["text"](6, seed=k) for k in range(80))
    model = make["fit_text"](data, separator="\n%%\n", chunk_length=24)
    well("carried_state", model, data)
    model.network.stack.register_forward_pre_hook(deaf_to("reset"), with_kwargs=True)
    found = ill("carried_state", "severe", model, data)
    assert found.figures["change"] > 1e-4 * found.figures["scale"]


def test_a_single_document_has_no_end_to_carry_over(healthy):
    model, data = healthy("language_model")
    report = doctor(model, data, only=["carried_state"])
    assert report.skipped == {"carried_state": "no document ends within the batches"}


class Keeps(nn.Module):
    """Goes on from the state in which the batch before ended."""

    def __init__(self, keep):
        super().__init__()
        self.rnn = nn.GRU(3, 8)
        self.keep = keep
        self.state = None

    def forward(self, x):
        y, state = self.rnn(x, self.state)
        self.state = state.detach() if self.keep else None
        return y


def test_a_module_that_goes_on_from_the_batch_before_is_found(ill, well):
    x = torch.randn(6, 4, 3)
    well("carried_state", Keeps(False), x)
    found = ill("carried_state", "severe", Keeps(True), x)
    assert "twice" in found.evidence


def test_dropout_is_no_state(well):
    net = nn.Sequential(nn.Dropout(0.5), nn.GRU(3, 8, num_layers=2, dropout=0.5))
    net.train()
    well("carried_state", net, torch.randn(6, 4, 3))
    assert net.training
    assert net[0].training


class Noisy(nn.Module):
    """Draws something of its own at each call, also in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.rnn = ostinato.GRU(3, 8)

    def forward(self, x, lengths):
        return self.rnn(x + 0.1 * torch.randn_like(x), lengths=lengths)


def test_noise_is_no_influence(well):
    x, lengths, _ = padded_batch()
    batch = ((x.transpose(0, 1), lengths), torch.zeros(7, 5, 8))

    def loss(out, targets):
        return (out[0] - targets).square().mean()

    for name in ("batch_axis", "padding", "carried_state"):
        well(name, Noisy(), batch, loss=loss, lengths=lengths, batch_axis=1)


def test_a_seed_settles_what_is_drawn():
    x, lengths, _ = padded_batch()
    torch.manual_seed(0)
    net = Noisy()
    # so large that a finding tells the scale
    batch = ((500 * x.transpose(0, 1), lengths), None)

    def scale(seed):
        report = doctor(
            net, batch, loss=lambda out, _: out[0].mean(), seed=seed, only=["input_scale"]
        )
        return report["input_scale"].figures["scale"]["rnn"]

    assert scale(0) == scale(0)
    assert scale(0) != scale(1)
