"""ITSRN's implicit transformer with the weights of every query and key made: the judge of the decoder."""

import torch
from plain_liif import CHUNK, centres, sample, unfold
from torch import Tensor

from realciao.archs.decoders.itsrn import ITSRNDecoder


def plain_itsrn(decoder: ITSRNDecoder, feat: Tensor, coord: Tensor, cell: Tensor, chunk: int = CHUNK) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; cell is b 2."""
    unfolded, centre_of = unfold(feat), centres(feat)
    parts = [_query(decoder, unfolded, centre_of, part, cell) for part in coord.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


def _query(decoder: ITSRNDecoder, unfolded: Tensor, centre_of: Tensor, coord: Tensor, cell: Tensor) -> Tensor:
    sizes = unfolded.shape[2:]
    size = coord.new_tensor(sizes)
    scale_token = (cell[:, None] * size).expand_as(coord).to(unfolded.dtype)
    colours = []
    for vy in (-1, 1):
        for vx in (-1, 1):
            place = coord.clone()
            for axis, n, v in ((0, sizes[0], vy), (1, sizes[1], vx)):
                shift = 1 / ((n - 1) / (1 - cell[:, axis])) if n > 1 else torch.zeros_like(cell[:, axis])
                place[..., axis] += v * shift[:, None] + 1e-6
            place = place.clamp(-1 + 1e-6, 1 - 1e-6)
            value, key = sample(unfolded, place), sample(centre_of, place)
            offset = ((coord - key) * size).to(unfolded.dtype)
            weights = decoder.imnet.layers(torch.cat([offset, scale_token], dim=-1)).view(*value.shape, 3)
            colour = torch.einsum("bqf,bqfc->bqc", value, weights)
            colours.append(colour + decoder.score.layers(offset))
    return decoder.aggregate.layers(torch.stack(colours, dim=-1)).squeeze(-1)
