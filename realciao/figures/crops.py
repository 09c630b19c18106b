"""Which part of an image to show."""

import numpy as np
from jaxtyping import Float


def busiest(photo: Float[np.ndarray, "h w 3"], edge: int) -> tuple[int, int]:
    """Top and left of the edge x edge crop with the most gradient, where methods differ most."""
    grey = photo.mean(axis=2)
    energy = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    total = sums[edge:, edge:] - sums[:-edge, edge:] - sums[edge:, :-edge] + sums[:-edge, :-edge]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return int(top), int(left)
