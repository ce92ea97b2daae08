import json
from dataclasses import fields, replace

import pytest

from ostinato.tasks.language_model.settings import (
    DataSettings,
    LanguageModelSettings,
)
from ostinato.tasks.registry import TASKS, settings_class
from ostinato.tasks.task_settings import recorded_settings
from ostinato.training import save_run


def test_settings_survive_json():
    settings = LanguageModelSettings().changed(
        cell="gru", cell_options={"reset": "before"}, held_out=0.2, lr=0.5
    )
    again = LanguageModelSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings


def test_sections_of_a_toml_file_change_the_defaults(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("[model]\ncell = 'gru'\n[model.cell_options]\nreset = 'before'\n")
    settings = LanguageModelSettings.load(path)
    assert settings == LanguageModelSettings().changed(cell="gru", cell_options={"reset": "before"})


@pytest.mark.parametrize("name", LanguageModelSettings.preset_names())
def test_presets_are_read_by_name_and_differ_from_the_defaults(name):
    assert LanguageModelSettings.load(name) != LanguageModelSettings()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"modell": {}}, "modell. Did you mean model"),
        ({"model": {"hidden": 3}}, "model.hidden. Did you mean model.hidden_size"),
        ({"model": 3}, "model is a table"),
        ({"model": {"hidden_size": "3"}}, "hidden_size must be a whole number, got '3'"),
        ({"model": {"hidden_size": True}}, "hidden_size must be a whole number, got True"),
        ({"model": {"hidden_size": 0}}, "hidden_size must be at least 1"),
        ({"model": {"dropout": 1.0}}, "dropout must be in 0..1"),
        ({"model": {"tied": True, "embedding_size": 0}}, "embedding"),
        ({"model": {"token_dropout": 0.1, "embedding_size": 0}}, "embedding"),
        ({"data": {"min_count": "x"}}, "min_count must be a whole number or"),
        ({"data": {"held_out": 0.6, "validation": 0.5}}, "held_out [+] validation must be below 1"),
        ({"data": {"chunk_length": 0}}, "chunk_length must be at least 1"),
        ({"data": {"lower": True}}, "lower must be left alone"),
        ({"training": {"lr": -1.0}}, "lr"),
    ],
)
def test_wrong_settings_are_named_with_what_to_do(content, message):
    with pytest.raises(ValueError, match=message):
        LanguageModelSettings.from_dict(content)


def test_another_optimizer_comes_without_the_momenta_of_the_first():
    assert LanguageModelSettings().changed(optimizer="sgd").training.beta2 is None
    settings = LanguageModelSettings().changed(optimizer="adam", beta2=0.9)
    assert settings.training.beta2 == 0.9
    again = LanguageModelSettings.from_dict(LanguageModelSettings().to_dict())
    assert again.training.beta2 == 0.99


@pytest.mark.parametrize("task", sorted(TASKS))
def test_an_end_given_alone_is_not_cut_by_a_default_or_an_earlier_one(task):
    kind = settings_class(task)
    assert kind().training.epochs is not None
    by_steps = kind().changed(max_steps=7)
    assert (by_steps.training.max_steps, by_steps.training.epochs) == (7, None)
    assert kind.from_dict({"training": {"max_steps": 7}}) == by_steps
    again = by_steps.changed(epochs=2)
    assert (again.training.max_steps, again.training.epochs) == (None, 2)


def test_ends_given_together_are_both_kept():
    both = LanguageModelSettings().changed(max_steps=7, epochs=2)
    assert (both.training.max_steps, both.training.epochs) == (7, 2)
    assert LanguageModelSettings.from_dict(both.to_dict()) == both
    no_steps = LanguageModelSettings().changed(max_steps=None)
    assert no_steps == LanguageModelSettings()


def test_tables_given_later_count_and_only_the_whole_is_checked():
    tuned = {"model": {"tune_embeddings": False}, "training": {"epochs": 4}}
    given = {"model": {"embeddings": "v.txt"}, "data": {"tokens": "words"}}
    settings = LanguageModelSettings().updated(tuned, {**given, "training": {"max_steps": 3}})
    assert not settings.model.tune_embeddings
    assert (settings.training.max_steps, settings.training.epochs) == (3, None)
    with pytest.raises(ValueError, match="give a file of vectors"):
        LanguageModelSettings().updated(tuned)


def test_whole_numbers_serve_as_decimals():
    assert LanguageModelSettings.from_dict({"training": {"lr": 1}}).training.lr == 1


def test_missing_and_broken_files_say_so(tmp_path):
    with pytest.raises(ValueError, match="no configuration 'nope'"):
        LanguageModelSettings.load("nope")
    broken = tmp_path / "a.toml"
    broken.write_text("[model\n")
    with pytest.raises(ValueError, match="not TOML"):
        LanguageModelSettings.load(broken)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_setting_names_are_unique_over_the_sections(task):
    settings = settings_class(task)()
    sections = (settings.data, settings.model, settings.training)
    names = [entry.name for section in sections for entry in fields(section)]
    assert len(names) == len(set(names))
    assert set(settings.homes()) == set(names)


def test_a_setting_of_an_earlier_run_folder_is_read_under_its_new_name():
    kind = settings_class("classifier")
    recorded = kind().changed(batch_steps=900).to_dict()
    recorded["data"]["max_steps"] = recorded["data"].pop("batch_steps")
    assert kind.from_dict(recorded).data.batch_steps == 900
    assert kind.from_dict(recorded).training.max_steps is None


def test_recorded_settings_are_those_of_the_run(tmp_path):
    settings = LanguageModelSettings().changed(cell="gru")
    save_run(tmp_path, task="language_model", settings={"settings": settings.to_dict()}, weights={})
    assert recorded_settings(LanguageModelSettings, tmp_path) == settings
    save_run(tmp_path / "other", task="x", settings={}, weights={})
    with pytest.raises(ValueError, match="not the run of a language model"):
        recorded_settings(LanguageModelSettings, tmp_path / "other")


def test_word_options_are_for_words():
    assert replace(DataSettings(), tokens="words", lower=True).lower
    with pytest.raises(ValueError, match="tokens='words'"):
        replace(DataSettings(), split="blanks")
