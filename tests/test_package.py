from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import ostinato

HEAVY = ("torch", "lightning", "numpy", "tokenizers", "pooch", "typer", "rich")


def modules() -> list[str]:
    found = pkgutil.walk_packages(ostinato.__path__, "ostinato.")
    return sorted(module.name for module in found if module.name != "ostinato.__main__")


def test_every_public_name_can_be_had_and_is_listed():
    for name in ostinato.__all__:
        assert getattr(ostinato, name) is not None
    assert sorted(ostinato.__all__) == dir(ostinato)


def test_type_checkers_see_the_names_that_load_lazily():
    source = Path(ostinato.__file__).read_text()
    block = source.split("if TYPE_CHECKING:\n", 1)[1].split("\n\n", 1)[0]
    imported = re.findall(r"\w+", " ".join(re.findall(r"import (.+)", block)))
    assert sorted(imported) == sorted(set(ostinato.__all__) - {"__version__"})


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ostinato.nothing


@pytest.mark.parametrize("name", modules())
def test_a_module_offers_what_it_says_and_no_more_than_it_has(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is for"
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name}.{public}"


def test_importing_the_package_imports_nothing_heavy():
    script = f"import sys, ostinato; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_said_once():
    assert metadata.version("ostinato") == ostinato.__version__


def test_the_package_is_typed():
    assert (Path(ostinato.__file__).parent / "py.typed").is_file()
