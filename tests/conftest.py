"""Set before anything imports torch: on tiny tensors one thread is faster than two that wait for each other."""

import gc
import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Looking for garbage among all that the libraries have loaded would take longer than many a test."""
    gc.freeze()
