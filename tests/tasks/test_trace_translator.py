"""Translators traced: encoder and decoder, on translations that are settled before."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import ostinato as ost
from ostinato.inspect.gradient_flow import gradient_flow
from ostinato.tasks.beam import BeamSettings
from ostinato.tasks.translator.fitting import batch_of

PAIRS = [("one two", "eins zwei"), ("two one", "zwei eins"), ("one", "eins")] * 6
SMALL = {
    "tokens": "words",
    "hidden_size": 6,
    "embedding_size": 4,
    "max_steps": 2,
    "batch_size": 4,
    "progress": False,
    "baselines": False,
}


def translator(**settings):
    return ost.Translator.fit(PAIRS, **SMALL, **settings)


@pytest.fixture(scope="module")
def model():
    return translator()


def test_labels_are_the_pieces_that_the_encoder_reads(model):
    trace = model.trace([("one two", "eins"), ("two", "zwei eins")], only="state")
    assert trace.labels == (("one", "two", "<end>"), ("two", "<end>"))
    lengths = {layer.name: layer.lengths.tolist() for layer in trace.layers}
    assert lengths["network.encoder.0"] == [3, 2]
    assert lengths["network.decoder.stack.0"] == [2, 3]


def test_states_are_those_of_the_network_on_the_translation(model):
    trace = model.trace(("one two", "zwei"), only="state")
    words = model.vocabularies
    batch = batch_of([words.encode_source("one two")], [words.encode_target("zwei")], words.end)
    model.eval()
    with torch.no_grad():
        encoded = model.network.encode(batch.source, batch.source_lengths)
    forward, back = encoded.outputs.chunk(2, dim=-1)
    np.testing.assert_allclose(trace.values("h", "network.encoder.0"), forward, rtol=1e-5)
    np.testing.assert_allclose(trace.values("h", "network.encoder.0", 1), back, rtol=1e-5)


def test_of_a_line_alone_the_greedy_translation_is_written(model):
    alone = model.trace("two one", only="state")
    words, name = model.vocabularies, "decoder.stack.0"
    (one,) = model._search([words.encode_source("two one")], BeamSettings(1), True, None)[0]
    written = [*one.tokens, words.end] if one.ended else [*one.tokens]
    batch = batch_of([words.encode_source("two one")], [written], words.end)
    parts = (batch.source, batch.source_lengths, batch.inputs, batch.lengths)
    model.eval()
    told = ost.trace(model.network, *parts, only="state")
    assert len(alone.values("h", f"network.{name}")) == len(written)
    np.testing.assert_allclose(alone.values("h", f"network.{name}"), told.values("h", name), 1e-5)


def test_loss_is_that_of_the_pieces_and_the_last_one_alone(model):
    asked = model.question([("one two", "eins zwei"), ("two", "zwei")])
    model.eval()
    with torch.no_grad():
        scores = asked.ask()
    words = model.vocabularies
    targets = [words.encode_target(text) for text in ("eins zwei", "zwei")]
    nats = [
        [
            float(F.cross_entropy(scores[t, row], torch.tensor(int(token))))
            for t, token in enumerate(target)
        ]
        for row, target in enumerate(targets)
    ]
    every = [value for row in nats for value in row]
    assert float(asked.loss(scores)) == pytest.approx(sum(every) / 5, rel=1e-5)
    assert float(asked.last(scores)) == pytest.approx((nats[0][-1] + nats[1][-1]) / 2, rel=1e-5)


@pytest.mark.parametrize("place", ["after", "before", "between", "feeding", None])
def test_gradients_reach_the_encoder_and_the_decoder_wherever_attention_is(place):
    attention = {"attention": None} if place is None else {"attention_place": place}
    model = translator(num_layers=2, **attention)
    trace = model.trace(("one two one", "eins zwei eins"), gradients="last")
    flow = gradient_flow(trace)
    reached = {(one.layer, one.direction): len(one.norms) for one in flow.flows}
    assert reached["network.encoder.0", 0] == 4
    assert reached["network.decoder.stack.0", 0] == 4
    # at the last step too, where the decoder stands when the last piece is written
    name = "network.decoder.stack.1" if place != "between" else "network.decoder.stack.0"
    assert np.abs(trace.gradients("h", name)[-1]).max() > 0


def test_lines_that_cannot_be_read_are_refused(model):
    for bad in ("", [], ["one", " "], ("", "eins")):
        with pytest.raises(ValueError, match="trace: a line is empty"):
            model.trace(bad)
