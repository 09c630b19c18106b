"""Meta-SR in its continuous form, with the filters of every query made: the judge of the decoder."""

import torch
from plain_liif import CHUNK, centres, sample, unfold
from torch import Tensor

from realciao.archs.decoders.metasr import MetaSRDecoder


def plain_metasr(decoder: MetaSRDecoder, feat: Tensor, coord: Tensor, cell: Tensor, chunk: int = CHUNK) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; cell is b 2."""
    unfolded = unfold(feat)
    h, w = feat.shape[2:]
    corner_of = centres(feat) - coord.new_tensor([1 / h, 1 / w]).view(2, 1, 1)
    parts = []
    for part in coord.split(chunk, dim=1):
        corner = part - cell[:, None] / 2
        place = (corner + 1e-6).clamp(-1 + 1e-6, 1 - 1e-6)
        offset = (corner - sample(corner_of, place)) * coord.new_tensor([h / 2, w / 2])
        inverse_scale = (cell[:, None, :1] * h / 2).expand_as(offset[..., :1])
        filters = decoder.imnet.layers(torch.cat([offset, inverse_scale], dim=-1).to(feat.dtype))
        values = sample(unfolded, place)
        filters = filters.view(*values.shape, 3)
        parts.append(torch.einsum("bqf,bqfc->bqc", values, filters))
    return torch.cat(parts, dim=1)
