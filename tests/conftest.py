"""Set before anything imports torch: on tiny tensors one thread is faster than two that wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
