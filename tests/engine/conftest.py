import os
import sys
from pathlib import Path

import pytest

# so that test files here can import the modules beside them
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Kernels are made anew in every session, and kept for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield os.environ["OSTINATO_CACHE"]
