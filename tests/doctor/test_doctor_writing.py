import pytest
import torch

from ostinato.data.music import Piece
from ostinato.doctor import doctor
from ostinato.doctor.ward import TaskPatient, _moved

WRITERS = ["translator", "captioner"]
CHECKS = ["attention", "source", "written", "free_running", "composed"]


@pytest.mark.parametrize("task", [*WRITERS, "composer", "language_model"])
def test_models_that_have_learned_their_task_write_well(task, healthy, make):
    model, data = healthy(task)
    if task == "language_model":
        data = make["text"](1500)
        model = make["fit_text"](data, max_steps=150, lr=0.02, hidden_size=32)
    report = doctor(model, data, only=CHECKS)
    assert not report.findings, report
    assert "free_running" in report.healthy


def says(model, token, by):
    """The network is as much more, or less, for a token at every step."""

    def hook(layer, inputs, scores):
        more = torch.zeros(scores.shape[-1])
        more[token] = by
        return scores + more

    return model.network.readout.register_forward_hook(hook)


def ends(model):
    return model.vocabularies.end if hasattr(model, "vocabularies") else model.coder.end


@pytest.mark.parametrize("task", WRITERS)
def test_texts_that_end_at_once_or_never_are_found(task, healthy, ill):
    model, data = healthy(task)
    hook = says(model, ends(model), 1000.0)
    found = ill("written", "severe", model, data)
    assert found.title == "Its texts end at once"
    assert found.figures["share"] == 1
    hook.remove()
    says(model, ends(model), -1000.0)
    found = ill("written", "severe", model, data)
    assert found.title == "Its texts never end"
    assert found.figures["share"] == 1


def deaf(model):
    """Nothing of the input gets beyond the encoder."""
    if hasattr(model.network, "decoder"):
        embedding = model.network.source_embedding or model.network.target_embedding
        source = {id(embedding): embedding}
        for layer in source.values():
            layer.register_forward_hook(lambda layer, inputs, y: torch.zeros_like(y))
    else:
        model.network.encoder.register_forward_hook(lambda layer, inputs, y: torch.zeros_like(y))


@pytest.mark.parametrize("task", WRITERS)
def test_an_input_that_is_not_listened_to_is_found(task, healthy, make, ill):
    maker = {"translator": "fit_pairs", "captioner": "fit_captions"}[task]
    apart = {"joint": False} if task == "translator" else {}
    data = healthy(task)[1]
    model = make[maker](data, epochs=4, **apart)
    deaf(model)
    found = ill("source", "severe", model, data)
    if task == "captioner":
        assert found.figures["wrong"] == pytest.approx(found.figures["right"], rel=1e-4)
        assert found.figures["lengths"] is None
    assert found.remedy.settings
    # each step is the same for all that were read: one text for all
    found = ill("written", "severe", model, data)
    assert found.title in ("It writes one text for everything", "Its texts never end")


def test_lines_that_do_not_belong_together_are_found(make, ill):
    both = make["pairs"](240), make["pairs"](240, seed=1)
    apart = [(left, right) for (left, _), (_, right) in zip(*both, strict=True)]
    model = make["fit_pairs"](apart, epochs=4)
    found = ill("source", "severe", model, apart)
    assert abs(found.figures["lengths"]) < 0.2
    assert found.remedy.command == "paste SOURCE TARGET | head"


def test_one_text_for_everything_is_found(make, ill):
    # what to say cannot be known, and one answer is a little likelier than all others
    data = make["captions"](200)
    data = [
        (vector * 0, "one one" if k % 5 == 0 else text) for k, (vector, text) in enumerate(data)
    ]
    model = make["fit_captions"](data, scale=False)
    found = ill("written", "severe", model, data)
    assert found.title == "It writes one text for everything"
    assert "'one one'" in found.evidence


def test_a_copy_of_the_source_is_found(make, ill):
    lines = make["pairs"](240)
    both = [(left, left) for left, _ in lines] + [(right, right) for _, right in lines]
    model = make["fit_pairs"](both)
    found = ill("written", "severe", model, lines)
    assert found.title == "It copies the source"


@pytest.mark.parametrize(("times", "title"), [(1, "Its texts are too short"), (9, "Its texts are")])
def test_texts_of_another_length_than_the_true_ones_are_found(times, title, make, ill):
    lines = make["pairs"](240)
    brief = [(left, " ".join(right.split()[:1])) for left, right in lines]
    model = make["fit_pairs"](brief if times == 1 else lines, epochs=8)
    found = ill("written", "severe", model, lines if times == 1 else brief)
    assert found.title.startswith(title)
    assert not 0.5 <= found.figures["share"] <= 2


def looks(model, where):
    def hook(layer, inputs, result):
        context, weights = result
        return context, where(weights)

    model.network.decoder.attend.register_forward_hook(hook)


def test_attention_that_looks_nowhere_is_found(healthy, ill):
    model, data = healthy("translator")
    looks(model, lambda weights: (weights > 0) / (weights > 0).sum(-1, keepdim=True))
    found = ill("attention", "warning", model, data)
    assert found.title == "Attention looks nowhere"
    assert found.figures["evenness"] == pytest.approx(1, abs=1e-3)


def test_attention_that_never_moves_is_found(healthy, ill):
    model, data = healthy("translator")

    def first(weights):
        return torch.zeros_like(weights).index_fill_(-1, torch.tensor([0]), 1.0)

    looks(model, first)
    found = ill("attention", "warning", model, data)
    assert found.title == "Attention never moves"
    assert found.figures["steady"] == 1
    assert found.figures["evenness"] == pytest.approx(0, abs=1e-3)


def test_a_kind_of_attention_that_does_not_learn_is_to_be_another(make, ill):
    data = make["pairs"](60)
    model = make["fit_pairs"](data, attention="general", max_steps=2)
    looks(model, lambda weights: (weights > 0) / (weights > 0).sum(-1, keepdim=True))
    found = ill("attention", "warning", model, data)
    assert found.remedy.settings == {"model.attention": "additive"}


def test_without_attention_there_is_none_to_look_at(make):
    data = make["pairs"](60)
    model = make["fit_pairs"](data, attention=None, max_steps=2)
    assert "no attention" in doctor(model, data, only=["attention"]).skipped["attention"]


def rings(count):
    """Lines of a ring of words, whose first word nothing tells."""
    words = [f"w{k}" for k in range(24)]
    return [
        ("go on and on", " ".join(words[(7 * line + k) % 24] for k in range(6)))
        for line in range(count)
    ]


@pytest.mark.parametrize("task", WRITERS)
def test_a_writer_that_knows_what_follows_the_truth_alone_is_found(task, make, ill):
    data = rings(240)
    if task == "captioner":
        data = [([0.0, 1.0], text) for _, text in data]
        model = make["fit_captions"](data, tokens="words", scale=False, hidden_size=32)
    else:
        model = make["fit_pairs"](data, epochs=6)
    found = ill("free_running", "warning", model, data)
    assert found.figures["forced"] > 0.7 > 2 * found.figures["free"]


def forgets(model):
    """A step by itself knows nothing of those before."""
    stack = model.network.stack
    step = stack.step
    stack.step = lambda x, state=None, **options: step(torch.zeros_like(x), None, **options)
    walk = stack.forward

    def forward(x, state=None, **options):
        return walk(x, None if len(x) == 1 else state, **options)

    stack.forward = forward


def test_music_and_text_that_drift_away_are_found(healthy, make, ill):
    model, data = healthy("composer")
    forgets(model)
    found = ill("free_running", "warning", model, data)
    assert found.title == "On its own, it drifts away"
    assert found.remedy.settings == {"model.input_dropout": 0.1}
    data = "abcdefghijklmnopqrst" * 200 + "\n"
    model = make["fit_text"](data, max_steps=60, lr=0.02, hidden_size=32, cell="lstm")
    forgets(model)
    blank = model.network.embedding
    blank.register_forward_hook(lambda _, inputs, y: y * (len(inputs[0]) > 1))
    found = ill("free_running", "warning", model, data)
    assert found.figures["own"] > 1.25 * found.figures["true"] + 0.1
    assert found.remedy.settings == {"data.chunk_length": 32}


def test_a_text_that_is_far_too_sure_of_itself_is_found(healthy, make, ill):
    model, data = healthy("language_model")
    with torch.no_grad():
        model.network.readout.weight.normal_(std=30)
    found = ill("free_running", "warning", model, data)
    assert found.title == "On its own, it repeats itself"
    assert found.figures["own"] < 0.4 * found.figures["true"]


ILLS = [
    ("It writes silence", "severe", lambda notes: notes - 100),
    ("It stands on one chord", "severe", lambda notes: torch.where(notes > -1.5, 100.0, -100.0)),
    ("Its music is too thin", "warning", lambda notes: notes - 1.2),
    ("Its music is too dense", "warning", lambda notes: notes * 0),
]


@pytest.mark.parametrize(("title", "severity", "bias"), ILLS)
def test_music_unlike_the_pieces_is_found(title, severity, bias, healthy, ill, well):
    model, data = healthy("composer")
    well("composed", model, data)
    readout = model.network.notes.readout
    with torch.no_grad():
        # each step as the one before, by how often each key sounds in all pieces
        readout.weight.zero_()
        often = torch.from_numpy(sum(piece.roll().sum(0) for piece in data) + 0.01).double()
        often = often / sum(map(len, data))
        readout.bias.copy_(bias(torch.logit(often)))
    found = ill("composed", severity, model, data)
    assert found.title == title
    assert found.figures["steps"] > 200


def test_pieces_that_stand_still_themselves_may_be_gone_on_with_so(make, well):
    data = [Piece(((60, 64, 67),) * 20)] * 20
    well("composed", make["fit_music"](data, epochs=10), data)


@pytest.mark.parametrize("task", ["translator", "composer"])
def test_batches_without_a_way_of_their_own_are_brought_to_the_device(task, healthy):
    model, data = healthy(task)
    (batch, *_) = TaskPatient(model, data).batches
    moved = _moved(batch, torch.device("meta"))
    assert {part.device.type for part in vars(moved).values()} == {"meta"}
    assert {part.device.type for part in vars(batch).values()} == {"cpu"}
