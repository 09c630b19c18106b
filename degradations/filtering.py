"""Filtering of batches with a kernel for each image: correlation, borders mirrored without repeating the edge."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import fft
from torch import Tensor

from degradations import kernels as kernel_makers
from degradations.tensors import band_matmul, mirror_padded, mirrored


def correlate_batch(
    images: Float[Tensor, "b c h w"], kernels: Sequence[Float[np.ndarray, "_ _"]]
) -> Float[Tensor, "b c h w"]:
    """Each image correlated with its kernel, the kernels odd and of any sizes; differentiable."""
    trimmed = [kernel_makers.trim(kernel) for kernel in kernels]
    if all(len(kernel) == 1 for kernel in trimmed):
        return images
    factors = [kernel_makers.separate(kernel) for kernel in trimmed]
    if all(factor is not None for factor in factors):
        columns, rows = (stack_kernels([f[i] for f in factors if f is not None], images) for i in (0, 1))
        return correlate_axes(images, columns, rows)
    return _correlate_by_fft(images, stack_kernels(trimmed, images))


def correlate_axes(
    images: Float[Tensor, "b c h w"], columns: Float[Tensor, "b j"], rows: Float[Tensor, "b k"]
) -> Float[Tensor, "b c h w"]:
    """Each image correlated with the product of its column and its row of taps; differentiable."""
    height, width = images.shape[-2:]
    images = band_matmul(_band_matrix(columns, height), columns.shape[1] // 2, images, axis=2)
    return band_matmul(_band_matrix(rows, width), rows.shape[1] // 2, images, axis=3)


def _band_matrix(taps: Float[Tensor, "b k"], n: int) -> Float[Tensor, "b n n"]:
    """The matrices that correlate an axis of `n` pixels with the taps, the mirrored border in them."""
    reach = taps.shape[1] // 2
    place = torch.arange(n, device=taps.device)
    index = mirrored(place[:, None] + torch.arange(-reach, reach + 1, device=taps.device), n)
    shape = (len(taps), *index.shape)
    return taps.new_zeros(len(taps), n, n).scatter_add_(2, index.expand(shape), taps[:, None].expand(shape))


def _correlate_by_fft(images: Float[Tensor, "b c h w"], taps: Float[Tensor, "b k k"]) -> Float[Tensor, "b c h w"]:
    height, width = images.shape[-2:]
    reach = taps.shape[-1] // 2
    padded = mirror_padded(images, reach)
    # what wraps around falls on the padding, which is cut off
    size = [fft.next_fast_len(n, real=True) for n in padded.shape[-2:]]
    spectrum = torch.fft.rfft2(padded, size) * torch.fft.rfft2(taps, size).conj()[:, None]
    return torch.fft.irfft2(spectrum, size)[:, :, :height, :width]


def stack_kernels(taps: Sequence[np.ndarray], images: Tensor) -> Tensor:
    """Kernels, or rows of them, made equally large by zeros around."""
    reach = max(len(t) for t in taps) // 2
    return torch.from_numpy(np.stack([np.pad(t, reach - len(t) // 2) for t in taps])).to(images)
