import pytest
import torch

from ostinato.data.tokenizers import CharTokenizer
from ostinato.data.words import WordTokenizer
from ostinato.tasks.language_model.settings import LanguageModelSettings
from ostinato.tasks.language_model.task import LanguageModel

LINES = "the cat sat on the mat.\nthe dog sat on the log.\na bird sang to the cat.\n"


def make_model(tokenizer, **settings):
    torch.manual_seed(0)
    defaults = {"hidden_size": 12, "embedding_size": 5, "num_layers": 2}
    model = LanguageModel(tokenizer, LanguageModelSettings().changed(**{**defaults, **settings}))
    with torch.no_grad():
        # sharper than at the start, so that choices differ
        model.network.readout.weight.mul_(8)
    return model.eval()


@pytest.fixture(autouse=True)
def one_thread():
    # threads only wait for each other on matrices this small
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make():
    return make_model


@pytest.fixture
def lines():
    return LINES


@pytest.fixture
def model():
    return make_model(CharTokenizer.fit([LINES]))


@pytest.fixture
def ended():
    return make_model(CharTokenizer.fit([LINES], end=True))


@pytest.fixture
def words():
    return make_model(WordTokenizer.fit([LINES]))
