"""CiaoSR as the paper writes it, query by query and cell by cell: slow, short, and the judge of the fast path."""

import torch
import torch.nn.functional as F
from torch import Tensor

from realciao.archs.decoders.ciaosr import CiaoSRDecoder
from realciao.archs.decoders.cross_scale_attention import CrossScaleAttention


def plain_query(decoder: CiaoSRDecoder, feat: Tensor, coord: Tensor, cell: Tensor) -> Tensor:
    """Colours, b q 3, at coord, b q 2, of features b c h w; every unfold and every gather spelt out."""
    h, w = feat.shape[2:]
    unfolded = F.unfold(feat, decoder.kernel, padding=decoder.kernel // 2).view(len(feat), -1, h, w)
    values = unfolded
    if decoder.cs_attn is not None:
        values = torch.cat([unfolded, plain_non_local(decoder.cs_attn, feat)], dim=1)
    centres = torch.stack(torch.meshgrid(_centres(h), _centres(w), indexing="ij"))[None].expand(len(feat), -1, -1, -1)
    query = _nearest(unfolded, coord)
    size = torch.tensor([h, w])
    steps = (-1, 1) if decoder.local_size == 2 else (0,)
    logits, attended = [], []
    for vy in steps:
        for vx in steps:
            place = coord.clone()
            if decoder.local_size == 2:
                for axis, n, v in ((0, h, vy), (1, w, vx)):
                    shift = _shift(decoder.rule, n, cell[:, axis]) if n > 1 else torch.zeros(len(cell))
                    place[..., axis] = (coord[..., axis] + v * shift[:, None] + 1e-6).clamp(-1 + 1e-6, 1 - 1e-6)
            offset = ((coord - _nearest(centres, place)) * size).to(feat.dtype)
            scale = (cell * size)[:, None].expand_as(offset).to(feat.dtype)
            key_cell, value_cell = _nearest(unfolded, place), _nearest(values, place)
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
        large = torch.zeros(b, feat.shape[1], s * hp + 2 * s, s * wp + 2 * s, dtype=feat.dtype)
        for y in range(hp):
            for x in range(wp):
                weights = (10 * torch.einsum("bd,bdl->bl", queries[:, :, y * wp + x], keys)).softmax(dim=1)
                patch = torch.einsum("bl,bel->be", weights, patches).view(b, -1, 3 * s, 3 * s)
                large[:, :, s * y : s * y + 3 * s, s * x : s * x + 3 * s] += patch
        large = large[:, :, s:-s, s:-s]
        down = attention.down if s == 2 else getattr(attention, f"downx{s}")
        results.append(down(large)[:, :, :h, :w] / 6)
    return torch.cat(results, dim=1)


def _centres(n: int) -> Tensor:
    return -1 + 1 / n + 2 / n * torch.arange(n).float()


def _shift(rule: str, n: int, cell: Tensor) -> Tensor:
    return 1 / ((n - 1) / (1 - cell)) if rule == "published" else torch.full_like(cell, 1 / n)


def _nearest(image: Tensor, coord: Tensor) -> Tensor:
    """Rows of b c h w at the cells nearest to coord (y, x), as b q c; chosen in float32."""
    index = torch.arange(image.shape[2] * image.shape[3]).view(1, 1, *image.shape[2:]).float()
    grid = coord.float().flip(-1)[:, None]
    chosen = F.grid_sample(index.expand(len(image), -1, -1, -1), grid, mode="nearest", align_corners=False)
    rows = image.flatten(2).transpose(1, 2)
    return rows.gather(1, chosen.view(len(image), -1, 1).long().expand(-1, -1, rows.shape[2]))
