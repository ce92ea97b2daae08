import numpy as np
import pytest
import torch
from torch import nn

from ostinato.doctor import doctor
from ostinato.layers import Recurrent
from ostinato.tasks.stack import build_cell


def test_a_language_model_that_reads_the_future_is_found(healthy, ill, well):
    model, data = healthy("language_model")
    well("leak", model, data)
    torch.manual_seed(0)
    network = model.network
    settings = network.settings
    half = [build_cell(settings, 6) for _ in range(2)]
    network.stack = Recurrent(half, bidirectional=True)
    network.readout = nn.Linear(24, network.vocabulary_size)
    found = ill("leak", "severe", model, data)
    assert found.figures["change"] > 1e-3
    assert "tokens to come" in found.title


def test_words_that_spell_their_tag_are_found(make, ill, well):
    rows = make["sentences"](60)
    well("leak", make["fit_tags"](rows), rows)
    spelt = [[(f"{word}_{tag}", tag) for word, tag in row] for row in rows]
    found = ill("leak", "severe", make["fit_tags"](spelt), spelt)
    assert found.figures["spelt"] == found.figures["words"]


def test_a_column_that_tells_the_label_is_found(make, ill, well):
    rows = make["tracks"](100)
    well("leak", make["fit_labels"](rows), rows)
    told = [
        (np.concatenate([x, np.full((len(x), 1), float(label == "up"))], 1).astype("f4"), label)
        for x, label in rows
    ]
    found = ill("leak", "severe", make["fit_labels"](told), told)
    assert found.figures["column"] == "number 2"


def test_a_named_column_that_tells_the_label_can_be_left_out(make, ill):
    rows = make["tracks"](100, steps=(5, 5))
    table = {
        "id": [k for k in range(100) for _ in range(5)],
        "t": [step for _ in range(100) for step in range(5)],
        "a": [float(v) for x, _ in rows for v in x[:, 0]],
        "price": [10.0 + 5.0 * (label == "up") for _, label in rows for _ in range(5)],
        "label": [label for _, label in rows for _ in range(5)],
    }
    options = {"values": ["a", "price"], "id": "id", "time": "t"}
    found = ill("leak", "severe", make["fit_labels"](table, **options), table)
    assert found.remedy.settings == {"data.values": ["a"]}


def labelled_texts(make, told):
    rows = []
    for k in range(100):
        label = ("good", "bad")[k % 2]
        words = make["text"](8, seed=k).split()
        rows.append((" ".join([*words, f"verdict{label}"] if told else words), label))
    return rows


def test_a_token_that_tells_the_label_is_found(make, ill, well):
    rows = labelled_texts(make, told=False)
    well("leak", make["fit_labels"](rows, values=[]), rows)
    rows = labelled_texts(make, told=True)
    found = ill("leak", "warning", make["fit_labels"](rows, values=[]), rows)
    assert found.figures["tokens"] == {"bad": "verdictbad", "good": "verdictgood"}


def test_a_column_known_in_advance_that_is_the_target_is_found(make, ill, well):
    table = make["series"](plan=np.arange(240) % 7)
    well("leak", make["fit_series"](table, known=["plan"]), table)
    table = table.with_columns(copy=table["x"] * 2 + 1)
    found = ill("leak", "severe", make["fit_series"](table, known=["plan", "copy"]), table)
    assert found.figures["column"] == "copy"
    assert found.figures["shift"] == 0
    assert found.remedy.settings == {"data.known": ["plan"]}


def test_a_column_that_tells_of_the_step_before_is_found(make, ill):
    table = make["series"]()
    x = table["x"].to_numpy()
    table = table.with_columns(late=np.concatenate([[0.0], x[:-1]]))
    found = ill("leak", "severe", make["fit_series"](table, known=["late"]), table)
    assert abs(found.figures["shift"]) == 1
    assert "earlier" in found.evidence


def test_without_known_columns_nothing_can_leak(healthy):
    model, data = healthy("forecaster")
    assert "known in advance" in doctor(model, data, only=["leak"]).skipped["leak"]


def tokens():
    torch.manual_seed(0)
    return torch.randint(0, 9, (12, 5))


class Speaker(nn.Module):
    def __init__(self, bidirectional=False):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.rnn = nn.LSTM(4, 6, bidirectional=bidirectional)

    def forward(self, x):
        return self.rnn(self.embedding(x))[0]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_module_that_sees_the_next_token_is_found(bidirectional, ill, well):
    whole = tokens()
    batch = (whole[:-1], whole[1:])
    net = Speaker(bidirectional)
    if not bidirectional:
        well("leak", net, batch, batch_axis=1)
        return
    found = ill("leak", "severe", net, batch, batch_axis=1)
    assert found.figures == {"shift": 1}
    assert "bidirectional=False" in found.remedy.text


def test_targets_that_were_not_shifted_are_found(ill, well):
    whole = tokens()
    assert ill("leak", "severe", Speaker(), (whole, whole), batch_axis=1).figures == {"shift": 0}
    other = (whole, (whole * 5 + torch.arange(12)[:, None]) % 9)
    well("leak", Speaker(), other, batch_axis=1)


def test_targets_of_another_kind_are_not_compared():
    report = doctor(Speaker(), (tokens(), torch.zeros(5)), batch_axis=1, only=["leak"])
    assert "targets for each step" in report.skipped["leak"]
