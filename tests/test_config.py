from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.config import (
    ConfigError,
    assign,
    build,
    merge,
    presets,
    read_config,
    to_dict,
    to_toml,
)


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    steps: int | None = 5
    name: str = "a"
    on: bool = False
    periods: tuple[int, ...] = (1, 2)
    devices: int | str = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


@dataclass(frozen=True)
class Outer:
    seed: int = 0
    train: Inner = Inner()


def test_settings_given_replace_defaults_and_leave_the_others():
    config = build(Outer, {"train": {"rate": 1, "periods": [3], "options": {"reset": "after"}}})
    assert config == Outer(0, Inner(1.0, periods=(3,), options={"reset": "after"}))
    assert isinstance(config.train.rate, float)


def test_none_is_written_as_a_word():
    assert build(Outer, {"train": {"steps": "none"}}).train.steps is None


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"train": {"raet": 1}}, r"Unknown setting train\.raet\. Did you mean train\.rate\?"),
        ({"trian": {}}, r"Unknown setting trian\. Did you mean train\?"),
        ({"rate": 1}, r"Unknown setting rate\. Did you mean train\.rate\?"),
        ({"zzz": 1}, r"Known: seed, train\."),
        ({"seed": 1.5}, r"seed must be a whole number, got 1\.5"),
        ({"seed": True}, "seed must be a whole number"),
        ({"train": {"rate": "fast"}}, r"train\.rate must be a number, got 'fast'"),
        ({"train": {"steps": "x"}}, r'train\.steps must be a whole number or "none"'),
        ({"train": {"on": 1}}, r"train\.on must be true or false"),
        ({"train": {"periods": 3}}, r"train\.periods must be a list"),
        ({"train": {"options": 3}}, r"train\.options must be a table"),
        ({"train": 3}, "train is a table of settings"),
        ({"train": {"rate": -1.0}}, "rate must not be negative"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(given_settings, message):
    with pytest.raises(ConfigError, match=message):
        build(Outer, given_settings)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1e-3", 1e-3), ("true", True), ("gru", "gru"), ("[1, 2]", [1, 2]), ('"1"', "1")],
)
def test_an_assignment_reads_its_value_as_toml_or_as_a_word(text, value):
    found: dict[str, Any] = {}
    assign(found, f"a.b = {text}")
    assert found == {"a": {"b": value}}


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", ""])
def test_an_assignment_without_key_or_value_is_refused(text):
    with pytest.raises(ConfigError, match="write key=value"):
        assign({}, text)


def test_an_assignment_below_a_plain_value_is_refused():
    with pytest.raises(ConfigError, match="'a' is a value"):
        assign({"a": 1}, "a.b=2")


def test_merging_changes_neither_side():
    base, over = {"a": {"x": 1}}, {"a": {"y": 2}}
    merged = merge(base, over)
    merged["a"]["x"] = 9
    assert (base, over) == ({"a": {"x": 1}}, {"a": {"y": 2}})


@settings(max_examples=50)
@given(
    st.builds(
        Inner,
        rate=st.floats(0, allow_nan=False),
        steps=st.none() | st.integers(-(2**60), 2**60),
        name=st.text().filter(lambda s: s != "none"),
        on=st.booleans(),
        periods=st.lists(st.integers(-99, 99)).map(tuple),
    )
)
def test_toml_reads_back_as_what_was_written(tmp_path_factory, inner):
    path = tmp_path_factory.mktemp("toml") / "config.toml"
    path.write_text(to_toml(to_dict(Outer(3, inner))), "utf-8")
    assert build(Outer, read_config(path)) == Outer(3, inner)


def test_a_preset_is_read_by_its_name(tmp_path):
    (tmp_path / "small.toml").write_text("seed = 7")
    assert presets(tmp_path) == ["small"]
    assert read_config("small", folder=tmp_path) == {"seed": 7}
    with pytest.raises(ConfigError, match=r"'smal'.* nor a preset\. Did you mean small\?"):
        read_config("smal", folder=tmp_path)


def test_a_missing_configuration_is_said(tmp_path):
    with pytest.raises(ConfigError, match="There is no configuration"):
        read_config(tmp_path / "none.toml")


def test_broken_toml_names_the_file(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text("a = = 1")
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        read_config(path)
