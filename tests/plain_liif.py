"""LIIF as it was published, query by query: what it is timed as, and the judge of the decoder.

Unfolded features are made once an image; then chunks of 30,000 queries gather them, with nearest-neighbour sampling, for
each of the four cells.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from realciao.archs.decoders.liif import LIIFDecoder

CHUNK = 30_000


def plain_liif(decoder: LIIFDecoder, feat: Tensor, coord: Tensor, cell: Tensor, chunk: int = CHUNK) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; cell is b 2."""
    unfolded = unfold(feat)

    def predict(place: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        return decoder.imnet.layers(torch.cat([sample(unfolded, place), offset, scale], dim=-1))

    parts = [local_ensemble(predict, feat, part, cell) for part in coord.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


def local_ensemble(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor], feat: Tensor, coord: Tensor, cell: Tensor
) -> Tensor:
    """Predictions from the four cells half a cell away, each weighted by the area diagonally opposite."""
    size = coord.new_tensor(feat.shape[2:])
    centre_of = centres(feat)
    scale = (cell[:, None] * size).expand_as(coord).to(feat.dtype)
    predictions, areas = [], []
    for vy in (-1, 1):
        for vx in (-1, 1):
            shift = coord.new_tensor([vy / feat.shape[2] + 1e-6, vx / feat.shape[3] + 1e-6])
            place = (coord + shift).clamp(-1 + 1e-6, 1 - 1e-6)
            offset = ((coord - sample(centre_of, place)) * size).to(feat.dtype)
            predictions.append(predict(place, offset, scale))
            areas.append((offset[..., 0] * offset[..., 1]).abs() + 1e-9)
    total = torch.stack(areas).sum(dim=0)
    result = torch.zeros_like(predictions[0])
    for prediction, opposite in zip(predictions, reversed(areas), strict=True):
        result = result + prediction * (opposite / total)[..., None]
    return result


def unfold(feat: Tensor) -> Tensor:
    b, c, h, w = feat.shape
    return F.unfold(feat, 3, padding=1).view(b, 9 * c, h, w)


def centres(feat: Tensor) -> Tensor:
    """Coordinates of the cells, b 2 h w, float32."""
    b, _, h, w = feat.shape
    ys, xs = (-1 + 1 / n + 2 / n * torch.arange(n, device=feat.device).float() for n in (h, w))
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij"))[None].expand(b, -1, -1, -1)


def sample(image: Tensor, place: Tensor) -> Tensor:
    """b q c: of b c h w, what is nearest to the places b q 2."""
    grid = place.flip(-1)[:, None].to(image.dtype)
    return F.grid_sample(image, grid, mode="nearest", align_corners=False)[:, :, 0].permute(0, 2, 1)
