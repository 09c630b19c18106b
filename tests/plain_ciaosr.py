"""CiaoSR as the paper writes it, query by query and cell by cell: short, the judge of the fast path, and what it is timed as.

There are two forms of the non-local attention: `plain_non_local`, a loop over pixels, which judges, and
`published_non_local`, by convolutions, which is timed.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from plain_liif import CHUNK, centres, sample
from plain_network import plain_image
from torch import Tensor

from realciao.archs.decoders.ciaosr import CiaoSRDecoder
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention

NonLocal = Callable[[CrossScaleAttention, Tensor], Tensor]


def plain_upscale(
    net: torch.nn.Module, lq: Tensor, size: tuple[int, int], *, chunk: int = CHUNK, hoist_non_local: bool
) -> Tensor:
    """The whole image as the released code makes it, see `plain_decode`."""
    decode = partial(plain_decode, net.decoder, chunk=chunk, hoist_non_local=hoist_non_local)
    return plain_image(net, lq, size, decode)


def plain_decode(
    decoder: CiaoSRDecoder,
    feat: Tensor,
    coord: Tensor,
    cell: Tensor,
    *,
    chunk: int = CHUNK,
    hoist_non_local: bool,
    non_local: NonLocal | None = None,
) -> Tensor:
    """Colours, b q 3, chunk by chunk of queries.

    Each chunk unfolds the features again, once each for query, key and value, and, unless it is hoisted out of the loop,
    computes the non-local attention again, for no other reason than that the released code does.
    """
    non_local = non_local or published_non_local
    if hoist_non_local and decoder.cs_attn is not None:
        once = non_local(decoder.cs_attn, feat)
        non_local = lambda attention, feat: once  # noqa: E731
    parts = [plain_query(decoder, feat, part, cell, non_local) for part in coord.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


def plain_query(
    decoder: CiaoSRDecoder, feat: Tensor, coord: Tensor, cell: Tensor, non_local: NonLocal | None = None
) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; every unfold and every gather spelt out."""
    h, w = feat.shape[2:]
    queries, keys, values = (
        F.unfold(feat, decoder.kernel, padding=decoder.kernel // 2).view(len(feat), -1, h, w) for _ in range(3)
    )
    if decoder.cs_attn is not None:
        values = torch.cat([values, (non_local or plain_non_local)(decoder.cs_attn, feat)], dim=1)
    centre_of = centres(feat)
    query = _nearest(queries, coord)
    size = coord.new_tensor([h, w])
    steps = (-1, 1) if decoder.local_size == 2 else (0,)
    logits, attended = [], []
    for vy in steps:
        for vx in steps:
            place = coord.clone()
            if decoder.local_size == 2:
                for axis, n, v in ((0, h, vy), (1, w, vx)):
                    shift = _shift(decoder.rule, n, cell[:, axis]) if n > 1 else cell.new_zeros(len(cell))
                    place[..., axis] = (coord[..., axis] + v * shift[:, None] + 1e-6).clamp(-1 + 1e-6, 1 - 1e-6)
            offset = ((coord - _nearest(centre_of, place)) * size).to(feat.dtype)
            scale = (cell * size)[:, None].expand_as(offset).to(feat.dtype)
            key_cell, value_cell = _nearest(keys, place), _nearest(values, place)
            key = decoder.imnet_k.layers(torch.cat([key_cell, offset, scale], dim=-1))
            value = value_cell * decoder.imnet_v.layers(torch.cat([value_cell, offset, scale], dim=-1))
            logits.append((query * key_cell * key).sum(-1) if decoder.ensemble == "attention" else key[..., 0])
            attended.append(value)
    weights = torch.stack(logits).softmax(dim=0)
    return decoder.imnet_q.layers((weights[..., None] * torch.stack(attended)).sum(0))


def plain_non_local(attention: CrossScaleAttention, feat: Tensor) -> Tensor:
    """Cross-scale attention with a loop over the query pixels."""
    results = []
    for s in attention.scales:
        b, _, h, w = feat.shape
        padded = F.pad(feat, (0, -w % s, 0, -h % s), mode="reflect")
        hp, wp = padded.shape[2:]
        small = F.interpolate(padded, (hp // s, wp // s), mode="bilinear", align_corners=False)
        queries = F.unfold(attention.conv_match_1(padded), 3, padding=1)
        keys = F.unfold(attention.conv_match_2(small), 3, padding=1)
        keys = keys / keys.norm(dim=1, keepdim=True).clamp(min=1e-4)
        patches = F.unfold(attention.conv_assembly(padded), 3 * s, stride=s, padding=s)
        large = feat.new_zeros(b, feat.shape[1], s * hp + 2 * s, s * wp + 2 * s)
        for y in range(hp):
            for x in range(wp):
                weights = (10 * torch.einsum("bd,bdl->bl", queries[:, :, y * wp + x], keys)).softmax(dim=1)
                patch = torch.einsum("bl,bel->be", weights, patches).view(b, -1, 3 * s, 3 * s)
                large[:, :, s * y : s * y + 3 * s, s * x : s * x + 3 * s] += patch
        large = large[:, :, s:-s, s:-s]
        down = attention.down if s == 2 else getattr(attention, f"downx{s}")
        results.append(down(large)[:, :, :h, :w] / 6)
    return torch.cat(results, dim=1)


def published_non_local(attention: CrossScaleAttention, feat: Tensor) -> Tensor:
    """Cross-scale attention as it was published: patches as the kernels of convolutions, one image of the batch at a time."""
    results = []
    for s in attention.scales:
        h, w = feat.shape[2:]
        padded = F.pad(feat, (0, -w % s, 0, -h % s), mode="reflect")
        small = F.interpolate(padded, scale_factor=1 / s, mode="bilinear", align_corners=False)
        queries, references = attention.conv_match_1(padded), attention.conv_match_2(small)
        embedded = attention.conv_assembly(padded)
        large = []
        for query, reference, value in zip(queries.split(1), references.split(1), embedded.split(1), strict=True):
            keys = _patches(reference, 3, stride=1, padding=1)
            keys = keys / keys.flatten(1).norm(dim=1).clamp(min=1e-4)[:, None, None, None]
            weights = (10 * F.conv2d(query, keys, padding=1)).softmax(dim=1)
            large.append(F.conv_transpose2d(weights, _patches(value, 3 * s, stride=s, padding=s), stride=s, padding=s))
        down = attention.down if s == 2 else getattr(attention, f"downx{s}")
        results.append(down(torch.cat(large))[:, :, :h, :w] / 6)
    return torch.cat(results, dim=1)


def _patches(image: Tensor, edge: int, stride: int, padding: int) -> Tensor:
    """All patches of one image, n c edge edge."""
    columns = F.unfold(image, edge, stride=stride, padding=padding)[0]
    return columns.T.reshape(-1, image.shape[1], edge, edge)


def _shift(rule: str, n: int, cell: Tensor) -> Tensor:
    return 1 / ((n - 1) / (1 - cell)) if rule == "published" else torch.full_like(cell, 1 / n)


def _nearest(image: Tensor, place: Tensor) -> Tensor:
    """b q c: of b c h w, the cells nearest to the places b q 2 (y, x); chosen in float32, whatever the features are."""
    if image.dtype == torch.float32:
        return sample(image, place.float())  # as published
    h, w = image.shape[2:]
    index = torch.arange(h * w, device=image.device).view(1, 1, h, w).float().expand(len(image), -1, -1, -1)
    rows = image.flatten(2).transpose(1, 2)
    return rows.gather(1, sample(index, place.float()).long().expand(-1, -1, rows.shape[2]))
