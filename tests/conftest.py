"""All rooms but the engine's run on the reference engine, which has nothing to compile."""

import os
import sys
from pathlib import Path

import pytest
import torch

import ostinato

# so that tests of any room can import browser.py
sys.path.insert(0, str(Path(__file__).parent))

ENGINE = Path(__file__).parent / "engine"


def pytest_configure():
    # the machine's cores are shared: small tests are quicker on one
    torch.set_num_threads(1)
    # processes that tests start are to do the same
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _reference(request):
    if ENGINE in request.path.parents or "src" in request.path.parts:
        yield
        return
    with ostinato.engine("eager"):
        yield
