"""Fitted networks in files, and in scikit-learn's hands."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from ostinato import EchoStateNetwork
from ostinato.data.problems import narma10
from ostinato.reservoirs import LMS, RLS, Force, Gradient, Ridge

U, Y = narma10(300, seed=3)
WAVE = np.sin(np.arange(400) / 5)


def network(**options):
    return EchoStateNetwork(30, **{"washout": 20, "seed": 0, **options})


def there_and_back(esn, folder):
    esn.save(folder / "net.safetensors")
    return EchoStateNetwork.load(folder / "net.safetensors")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ridge": "cv"},
        {"layers": 2, "bidirectional": True, "direct": False},
        {"dtype": torch.float32, "ridge": 1e-3, "activation": "relu", "leak": 0.3},
        {"readout": Ridge(1e-4, folds=3)},
        {"readout": LMS(1e-2)},
        {"readout": RLS(1e-4)},
    ],
    ids=str,
)
def test_a_loaded_network_answers_bit_for_bit(options, tmp_path):
    esn = network(**options).fit(U, Y)
    again = there_and_back(esn, tmp_path)
    np.testing.assert_array_equal(again.predict(U), esn.predict(U))
    assert again.get_params().keys() == esn.get_params().keys()
    assert type(again.readout) is type(esn.readout)


def test_a_loaded_network_runs_on_where_the_other_stood(tmp_path):
    esn = network(feedback=1.0).fit(None, WAVE)
    again = there_and_back(esn, tmp_path)
    np.testing.assert_array_equal(again.generate(30), esn.generate(30))


@pytest.mark.parametrize("readout", [lambda: RLS(1e-3), lambda: LMS(1e-2)], ids=["rls", "lms"])
def test_a_loaded_network_goes_on_learning_as_the_other_would(readout, tmp_path):
    esn = network(readout=readout(), noise=0.01).partial_fit(U[:150], Y[:150])
    again = there_and_back(esn, tmp_path)
    for one in (esn, again):
        one.partial_fit(U[150:], Y[150:])
    np.testing.assert_array_equal(again.predict(U), esn.predict(U))


def test_a_network_that_learned_in_the_loop_is_kept(tmp_path):
    esn = network(feedback=1.0, readout=Force(every=2)).fit(None, WAVE)
    again = there_and_back(esn, tmp_path)
    assert again.readout.every == 2
    np.testing.assert_array_equal(again.generate(10), esn.generate(10))


def test_nothing_is_saved_that_could_not_be_built_again(tmp_path):
    place = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="learned nothing yet"):
        network().save(place)
    with pytest.raises(ValueError, match="Gradient cannot be saved"):
        network(readout=Gradient(torch.nn.functional.mse_loss, epochs=1)).fit(U, Y).save(place)
    with pytest.raises(ValueError, match="by name"):
        network(activation=torch.tanh).fit(U, Y).save(place)
    assert not place.exists()


def test_a_file_of_something_else_is_refused(tmp_path):
    place = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="no such file"):
        EchoStateNetwork.load(place)
    save_file({"a": torch.zeros(1)}, place)
    with pytest.raises(ValueError, match="no echo state network"):
        EchoStateNetwork.load(place)
    network().fit(U, Y).save(place)
    place.write_bytes(place.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        EchoStateNetwork.load(place)


def test_an_older_file_is_replaced_whole(tmp_path):
    place = tmp_path / "net.safetensors"
    network(seed=1).fit(U, Y).save(place)
    esn = network(seed=2).fit(U, Y)
    esn.save(place)
    np.testing.assert_array_equal(EchoStateNetwork.load(place).predict(U), esn.predict(U))
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_scikit_learn_clones_and_searches():
    esn = network(readout=Ridge(1e-4))
    assert clone(esn).get_params()["readout"].penalty == 1e-4
    search = GridSearchCV(
        network(), {"spectral_radius": [0.1, 0.9], "leak": [1.0]}, cv=TimeSeriesSplit(3)
    )
    search.fit(U[:, None], Y[:, None])
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 2
    assert search.best_params_["spectral_radius"] == (0.1, 0.9)[int(np.argmax(scores))]


def test_set_params_builds_anew_or_changes_nothing():
    esn = network().fit(U, Y)
    with pytest.raises(ValueError, match="washout"):
        esn.set_params(washout=-1)
    assert esn.predict(U).shape == (300, 1)
    esn.set_params(leak=0.5, units=20)
    assert (esn.units, esn.options["leak"], esn.reservoir) == (20, 0.5, None)
