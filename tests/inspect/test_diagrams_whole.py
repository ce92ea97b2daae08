"""Whole networks drawn folded: which module hears which is what a run of the network shows."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import ostinato as ost
from ostinato.inspect.diagrams import diagram
from ostinato.inspect.diagrams.examples import asking
from ostinato.inspect.diagrams.flow import data_flow, shown_modules
from ostinato.tasks.captioner.network import CaptionerNetwork
from ostinato.tasks.captioner.settings import CaptionerModel
from ostinato.tasks.classifier.network import ClassifierNetwork, Inputs
from ostinato.tasks.classifier.settings import ClassifierModel
from ostinato.tasks.composer.network import ComposerNetwork
from ostinato.tasks.composer.settings import ModelSettings as ComposerModel
from ostinato.tasks.forecaster.network import ForecasterNetwork, Sizes
from ostinato.tasks.forecaster.settings import ModelSettings as ForecasterModel
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.settings import ModelSettings
from ostinato.tasks.tagger.network import TaggerNetwork
from ostinato.tasks.tagger.settings import TaggerModel
from ostinato.tasks.translator.network import TranslatorNetwork
from ostinato.tasks.translator.settings import TranslatorModelSettings

SIZES = Sizes(targets=1, covariates=1, known=2, series=2, history=6, lags=4, horizon=3, season=5)


def translator(place, attention="additive"):
    return TranslatorNetwork(
        20,
        30,
        TranslatorModelSettings(
            hidden_size=8, num_layers=2, attention=attention, attention_place=place
        ),
    )


def forecaster(mode):
    # who goes on from its own forecasts knows nothing of other columns
    sizes = replace(SIZES, covariates=0) if mode == "recursive" else SIZES
    return ForecasterNetwork(sizes, ForecasterModel(hidden_size=4, mode=mode))


NETWORKS = {
    "text": lambda: LanguageNetwork(9, ModelSettings(hidden_size=8, embedding_size=4)),
    "one-hot text": lambda: LanguageNetwork(9, ModelSettings(hidden_size=8, embedding_size=0)),
    "tags": lambda: TaggerNetwork(torch.ones(9), 5, 3, TaggerModel(hidden_size=8)),
    "labels": lambda: ClassifierNetwork(
        Inputs(tokens=7), 2, ClassifierModel(hidden_size=4, ngrams=10, members=2)
    ),
    "numbers": lambda: ClassifierNetwork(Inputs(width=3), 2, ClassifierModel(hidden_size=4)),
    "captions": lambda: CaptionerNetwork(5, 9, CaptionerModel(hidden_size=4)),
    "music": lambda: ComposerNetwork(88, ComposerModel(hidden_size=4)),
    "music, notes apart": lambda: ComposerNetwork(
        88, ComposerModel(hidden_size=4, output="independent")
    ),
    **{f"series, {mode}": lambda m=mode: forecaster(m) for mode in ("direct", "decoder")},
    "series, recursive": lambda: forecaster("recursive"),
    **{
        f"pairs, {place}": lambda p=place: translator(p)
        for place in ("after", "before", "between", "feeding")
    },
    "pairs, none": lambda: translator("after", None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_with_weights_is_heard_and_hears(name):
    network = NETWORKS[name]()
    flow = data_flow(network, asking(network))
    heard = {arrow.source for arrow in flow.arrows}
    hearing = {arrow.target for arrow in flow.arrows}
    assert set(flow.modules) <= heard & hearing
    assert None in heard
    assert None in hearing
    # nothing with weights is left out, but what runs outside of the network's own scores
    assert set(shown_modules(network)) - set(flow.modules) <= {"crf"}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_drawn(name):
    network = NETWORKS[name]()
    drawn = diagram(network, "folded")
    arrows = [arrow for arrow in drawn.graph.arrows if arrow.kind == "forward"]
    assert {"y", "loss"} <= set(drawn.graph.boxes)
    assert drawn.svg.startswith("<svg")
    # from what is given every box can be reached
    reached = {key for key, box in drawn.graph.boxes.items() if box.kind == "input"}
    for _ in drawn.graph.boxes:
        reached |= {arrow.target for arrow in arrows if arrow.source in reached}
    assert reached == set(drawn.graph.boxes)


def arrows_of(flow):
    return {(arrow.source, arrow.target, arrow.role) for arrow in flow.arrows}


def test_encoder_starts_the_decoder_and_is_attended_to():
    network = translator("after")
    assert arrows_of(data_flow(network, asking(network))) == {
        (None, "source_embedding", ""),
        ("source_embedding", "encoder", ""),
        (None, "target_embedding", ""),
        ("target_embedding", "decoder.stack", ""),
        ("encoder", "decoder.stack", "state"),
        ("decoder.stack", "decoder.attend", ""),
        ("encoder", "decoder.attend", "memory"),
        ("decoder.stack", "decoder.combine", ""),
        ("decoder.attend", "decoder.combine", ""),
        ("decoder.combine", "readout", ""),
        ("readout", None, ""),
    }


def test_what_is_fed_back_comes_a_step_later():
    later = [
        (arrow.source, arrow.target)
        for arrow in diagram(translator("feeding"), "folded").graph.arrows
        if arrow.kind == "later" and arrow.source != arrow.target
    ]
    boxes = diagram(translator("feeding"), "folded").graph.boxes
    assert [(boxes[a].title, boxes[b].detail) for a, b in later] == [
        ("decoder.combine", "decoder.stack, layer 0")
    ]


def test_what_has_only_the_shape_of_another_does_not_hear_it():
    class Shaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.other(torch.zeros_like(self.one(x)))

    network = Shaped()
    flow = data_flow(network, lambda: network(torch.ones(1, 2)))
    assert arrows_of(flow) == {(None, "one", ""), (None, "other", ""), ("other", None, "")}


def test_what_is_written_into_a_part_is_followed():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            whole = torch.zeros(3, 2)
            whole[1] = self.one(x)[0]
            return self.other(whole)

    network = Written()
    flow = data_flow(network, lambda: network(torch.ones(1, 2)))
    assert ("one", "other", "") in arrows_of(flow)


@pytest.mark.parametrize(
    ("name", "layer", "losses"),
    [
        ("text", "stack", True),
        ("tags", "stack", True),
        ("tags", "letters.stack", False),
        ("labels", "members.0.stack", False),
        ("series, direct", "encoder", False),
        ("series, recursive", "encoder", True),
        ("pairs, after", "encoder", False),
        ("music", "stack", True),
    ],
)
def test_losses_at_each_step_are_those_of_what_is_read_out_there(name, layer, losses):
    network = NETWORKS[name]()
    assert data_flow(network, asking(network)).has_losses(layer) is losses


def test_network_of_ones_own_is_drawn_from_an_example():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.reader = nn.GRU(3, 4, num_layers=2, bidirectional=True)
            self.drop = nn.Dropout()
            self.out = nn.Linear(8, 2)

        def forward(self, x):
            return self.out(self.drop(self.reader(x)[0]))

    network = Mine().train()
    network.drop.eval()
    alone = diagram(network, "folded")
    whole = diagram(network, "folded", x=torch.zeros(5, 1, 3))
    assert "Linear" not in alone.svg
    assert [box.title for box in whole.graph.boxes.values()] == [
        "x", "GRU", "GRU", "GRU", "GRU", "out", "y", "loss"
    ]  # fmt: skip
    assert "out hears reader" in whole.words
    # it is left as it was
    assert (network.training, network.drop.training) == (True, False)
    assert "forward" not in vars(network.reader)


def test_losses_and_gradients_of_a_whole_network_can_be_left_out():
    network = NETWORKS["text"]()
    bare = diagram(network, "folded", losses=False, backward=False)
    assert "loss" not in bare.graph.boxes
    assert {arrow.kind for arrow in bare.graph.arrows} == {"forward", "later"}
    assert "gradients" not in bare.words


def test_fitted_model_is_drawn_as_its_network():
    lm = ost.LanguageModel.fit(
        "to be\n" * 60, hidden_size=4, max_steps=1, batch_size=2, progress=False, baselines=False
    )
    assert diagram(lm, "folded").svg == diagram(lm.network, "folded").svg
