"""Settings from a TOML file, a preset, and single assignments, checked against a dataclass.

A schema is a dataclass whose fields are plain values or dataclasses again. Unknown keys and values
of the wrong kind are refused where they enter, with the nearest known key. TOML has no word for
"no value": write "none".
"""

from __future__ import annotations

import difflib
import json
import math
import numbers
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "ConfigError",
    "assign",
    "build",
    "merge",
    "nearest",
    "presets",
    "read_config",
    "settle_kinds",
    "to_dict",
    "to_toml",
]

T = TypeVar("T")
Settings = dict[str, Any]


class ConfigError(ValueError):
    """Settings that cannot be read, or that name or hold something unknown."""


def presets(folder: Path) -> list[str]:
    """Names of the configurations in a folder of the package."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_config(source: str | Path, *, folder: Path | None = None) -> Settings:
    """Read a TOML file, or the preset of that name.

    Args:
        source: path of a file, or name of a preset.
        folder: where the presets are; None: there are none.

    Raises:
        ConfigError: there is neither, or it is not TOML.
    """
    known = [] if folder is None else presets(folder)
    path = Path(source)
    if folder is not None and str(source) in known:
        path = folder / f"{source}.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration {str(source)!r}: neither a file nor a preset"
            f"{nearest(str(source), known)}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read: {error}.") from error


def assign(settings: Settings, assignment: str) -> None:
    """Carry out one assignment "a.b=c" on nested settings; c is read as TOML, or else as a string.

    Raises:
        ConfigError: it has no "=" or no key, or a part of the key is already a plain value.

    Example:
        >>> settings = {"train": {"lr": 0.1}}
        >>> assign(settings, "train.lr=0.5"); assign(settings, "model.cell=gru"); settings
        {'train': {'lr': 0.5}, 'model': {'cell': 'gru'}}
    """
    key, equals, value = assignment.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set {assignment}: write key=value, for example train.lr=0.001.")
    place = settings
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {assignment}: {part!r} is a value, not a table of settings.")
    place[parts[-1]] = _value_of(value.strip())


def _value_of(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Settings:
    """Lay one table of settings over another; neither is changed.

    Example:
        >>> merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
        {'a': {'x': 1, 'y': 3}}
    """
    result = {k: merge(v, {}) if isinstance(v, Mapping) else v for k, v in base.items()}
    for key, value in over.items():
        old = result.get(key, {})
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merge(old, value) if both else value
    return result


def build(schema: type[T], settings: Mapping[str, Any], *, where: str = "") -> T:
    """Make a `schema` (a dataclass) from nested settings.

    Args:
        schema: the dataclass; fields that are dataclasses are built from tables.
        settings: what differs from the defaults.
        where: the table that these settings stand in, for messages.

    Raises:
        ConfigError: a key is unknown (the message names the nearest known one), a value is of the
            wrong kind, or the schema itself refuses it.
    """
    assert is_dataclass(schema)
    known = {field.name: field for field in fields(schema)}
    kinds = get_type_hints(schema)
    values = {}
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(f"Unknown setting {where}{key}{_hint(key, known, kinds, where)}")
        values[key] = _fit(kinds[key], value, f"{where}{key}")
    try:
        return schema(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def settle_kinds(settings: Any) -> None:
    """See that each field of a frozen dataclass has a value of its kind, as `build` does.

    A whole number where a decimal one is wanted becomes one.

    Raises:
        ConfigError: a value is of the wrong kind.
    """
    kinds = get_type_hints(type(settings))
    for field in fields(settings):
        value = _fit(kinds[field.name], getattr(settings, field.name), field.name)
        object.__setattr__(settings, field.name, value)


def _hint(key: str, known: Iterable[str], kinds: Mapping[str, Any], where: str) -> str:
    # a setting that was named without its table
    for table, kind in kinds.items():
        if is_dataclass(kind) and key in {field.name for field in fields(kind)}:
            return f". Did you mean {where}{table}.{key}?"
    return nearest(key, known, where)


def _fit(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is a table of settings, got {value!r}.")
        return build(kind, value, where=f"{where}.")  # type: ignore[arg-type]
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for option in options:
        fits, found = _take(option, value)
        if fits:
            return found
    raise ConfigError(f"{where} must be {_names(options)}, got {value!r}.")


def _take(kind: Any, value: Any) -> tuple[bool, Any]:
    plain = get_origin(kind) or kind
    if plain is Any:
        return True, value
    if plain is type(None):
        return value is None or value == "none", None
    if plain in (int, float) and isinstance(value, bool):
        return False, None
    # NumPy's numbers are numbers, too
    if plain is int and isinstance(value, numbers.Integral):
        return True, int(value)
    if plain is float and isinstance(value, numbers.Real):
        return True, float(value)
    if plain is str and value == "none":
        return False, None
    if plain in (tuple, list) and isinstance(value, (tuple, list)):
        return True, plain(value)
    if plain is Mapping or (isinstance(plain, type) and issubclass(plain, Mapping)):
        return isinstance(value, Mapping), value
    return isinstance(plain, type) and isinstance(value, plain), value


def _names(options: Iterable[Any]) -> str:
    words = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
    # float stands for both kinds of number
    kinds = [kind for kind in options if not (kind is int and float in options)]
    return " or ".join(
        '"none"'
        if kind is type(None)
        else words.get(kind, "a list" if _is_row(kind) else "a table")
        for kind in kinds
    )


def _is_row(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (tuple, list)


def nearest(word: str, known: Iterable[str], where: str = "") -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them.

    Example:
        >>> nearest("lernrate", ["learning_rate", "epochs"], "train.")
        '. Did you mean train.learning_rate?'
        >>> nearest("x", ["lr", "epochs"])
        '. Known: epochs, lr.'
    """
    choices = sorted(known)
    found = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if found:
        return f". Did you mean {where}{found[0]}?"
    return f". Known: {', '.join(where + choice for choice in choices)}." if choices else "."


def to_dict(config: Any) -> Settings:
    """A configuration as nested plain values, in the order of its fields."""
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    return dict(value) if isinstance(value, Mapping) else value


def to_toml(settings: Mapping[str, Any], *, table: str = "") -> str:
    """Write nested settings as TOML that `read_config` reads back.

    Example:
        >>> print(to_toml({"seed": 0, "train": {"lr": 0.001, "clip": None}}))
        seed = 0
        <BLANKLINE>
        [train]
        lr = 0.001
        clip = "none"
    """
    plain = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_toml_value(value)}" for key, value in plain.items()]
    blocks = ["\n".join(([f"[{table}]"] if table else []) + lines)] if lines else []
    for key, value in tables.items():
        inner = to_toml(value, table=f"{table}.{key}" if table else key)
        if inner:
            blocks.append(inner)
    return "\n\n".join(blocks)


def _toml_value(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    # the one control character that JSON lets stand and TOML does not
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
