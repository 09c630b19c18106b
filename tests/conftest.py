"""Set before anything imports torch: on tiny tensors one thread is faster than two that wait for each other."""

import gc
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    """Looking for garbage among all that the libraries have loaded would take longer than many a test."""
    gc.freeze()
    yield
    gc.unfreeze()  # or nanobind takes at the end what it finds for leaks
