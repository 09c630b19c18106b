"""LTE as it was published, query by query: what it is timed as, and the judge of the decoder.

Amplitudes and frequencies are made once an image; then chunks of 30,000 queries gather them for each of the four cells.
The bilinear residual is the network's.
"""

import math

import torch
from plain_liif import CHUNK, local_ensemble, sample
from torch import Tensor

from realciao.archs.decoders.lte import LTEDecoder


def plain_lte(decoder: LTEDecoder, feat: Tensor, coord: Tensor, cell: Tensor, chunk: int = CHUNK) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; cell is b 2."""
    amplitudes, frequencies = decoder.coef(feat), decoder.freq(feat)

    def predict(place: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        pairs = sample(frequencies, place).unflatten(-1, (-1, 2))  # (y, x) of each wave
        angle = math.pi * ((pairs * offset[:, :, None]).sum(dim=-1) + decoder.phase(scale))
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return decoder.imnet.layers(sample(amplitudes, place) * waves)

    parts = [local_ensemble(predict, feat, part, cell) for part in coord.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)
