"""Attention between all 3x3 patches of two maps, by sums along the diagonals of the products of single pixels."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from realciao.archs.decoders.diagonal_sums import box, filter_pairs, filter_pairs_backward, sum_across, sum_along


class Pieces(NamedTuple):
    """How much is worked on at a time."""

    columns: int
    """Query columns of a strip; its halo of six should be a small share."""
    step_bytes: int
    """Scores of one step of rows of a strip a CPU thread, of which there are three arrays; min_rows at least all the same."""
    min_rows: int
    slab_bytes: int
    """Scores of one slab of rows of the backward pass, which has about ten arrays of them; with min_slab_rows at least."""
    min_slab_rows: int


CPU_PIECES = Pieces(columns=48, step_bytes=2 * 2**20, min_rows=4, slab_bytes=16 * 2**20, min_slab_rows=8)
"""A step's scores and their sums stay in the cache."""
GPU_PIECES = Pieces(columns=512, step_bytes=128 * 2**20, min_rows=4, slab_bytes=128 * 2**20, min_slab_rows=8)
"""A step fills the device."""


def attend(
    query: Float[Tensor, "h w d"],
    key: Float[Tensor, "d hk wk"],
    gain: Float[Tensor, "hk wk"],
    taps: Float[Tensor, "2 2 c hk wk"],
) -> Float[Tensor, "h w c"]:
    """Softmax attention of all patches of `query` to all of `key`, whose overlapping values go through a two-tap filter.

    With A = softmax over l of gain[l] * box(query^T key)[t, l], returns the sum over (i, j) of
    (box(A) @ taps[i, j])[y - 1 + i, x - 1 + j], with zeros outside the map. All of one dtype; differentiable once.

    With l keys, 3 r + 4 rows of scores of a strip exist at a time, of r rows a step (see `_step`): on a CPU at most 2 million
    numbers a thread, or 864 l where that is more. The backward pass has about ten slabs of rows of scores.
    """
    key, gain, taps = (F.pad(t, (0, 1, 0, 1)) for t in (key, gain, taps))
    key_width = key.shape[2]
    # columns of either x tap: the y tap above, then the one at the pixel itself
    table = taps.permute(1, 3, 4, 0, 2).flatten(3).flatten(1, 2)
    return _attend(query.contiguous(), key.flatten(1), gain.flatten(), table, key_width)


def _pieces(device: str) -> Pieces:
    return CPU_PIECES if device == "cpu" else GPU_PIECES


def _step(height: int, width: int, keys: int, itemsize: int, device: str) -> tuple[int, int]:
    """Columns of a strip, even, and rows of a step, two at least: so many are kept from one step to the next."""
    pieces = _pieces(device)
    strips = -(-width // pieces.columns)
    columns = -(-width // (2 * strips)) * 2
    # each thread has its cache, and the fewer the steps, the less often threads wait for each other
    threads = torch.get_num_threads() if device == "cpu" else 1
    most = max(pieces.min_rows, threads * pieces.step_bytes // (itemsize * (columns + 6) * keys))
    steps = -(-(height + 2) // most)  # the result lags two rows behind the scores
    return columns, max(2, -(-(height + 2) // steps))


@torch.library.custom_op(
    "realciao::attend",
    mutates_args=(),
    schema="(Tensor query, Tensor key, Tensor gain, Tensor table, int key_width) -> Tensor",
)
def _attend(
    query: Float[Tensor, "h w d"],
    key: Float[Tensor, "d l"],
    gain: Float[Tensor, "l"],
    table: Float[Tensor, "2 l e"],
    key_width: int,
) -> Float[Tensor, "h w c"]:
    """`attend` on padded, flat keys; one opaque operation to torch.compile.

    Strips of columns, each from top to bottom a few rows a step; sums along y keep the two rows before. In the step whose
    result begins at row y, scores begin at y + 1 and products of pixels at y + 2. Sums along x need a column more on either
    side than they give, twice, and the filter one on the left.
    """
    (height, width, depth), keys, channels = query.shape, len(gain), table.shape[2] // 2
    columns, rows = _step(height, width, keys, query.itemsize, query.device.type)
    border = _border(gain)
    both = table[0] + table[1]
    result = query.new_zeros(height + 1, width + columns, channels)
    padded = F.pad(query, (0, 0, 3, 3 + columns, 0, rows + 2))
    work = query.new_empty(rows * (columns + 6) * keys)
    products = query.new_empty(rows + 2, (columns + 6) * keys)
    weights = query.new_empty(rows + 2, (columns + 4) * keys)
    for left in range(0, width, columns):
        products[:2].zero_()
        weights[:2].zero_()
        for y in range(-2, height, rows):
            patch = padded[y + 2 : y + 2 + rows, left : left + columns + 6]
            torch.mm(patch.reshape(-1, depth), key, out=work.view(-1, keys))
            sum_along(work, keys + 1, products[2:].view(-1))
            scores = work[: rows * (columns + 4) * keys]
            sum_across(products, keys, key_width, scores.view(rows, -1))
            products[:2] = products[rows:]
            _softmax(scores.view(-1, keys), gain, border)
            _zero_outside(scores.view(rows, columns + 4, keys), y + 1, left - 2, height, width)
            sum_along(scores, keys + 1, weights[2:].view(-1))
            summed = work[: rows * (columns + 2) * keys]
            sum_across(weights, keys, key_width, summed.view(rows, -1))
            weights[:2] = weights[rows:]
            if left == 0:
                summed.view(rows, columns + 2, keys)[:, 0] = 0
            spare = products[2:].view(-1)[: len(summed) // 2].view(-1, keys)
            filtered = filter_pairs(summed.view(-1, 2, keys), table, both, spare).view(rows, columns + 2, -1)
            first, last = max(0, -y), min(rows, height - y)
            inside = filtered[first:last, :columns]
            above, here = inside.split(channels, dim=2)
            result[y + first : y + last, left : left + columns] += here
            result[y + first + 1 : y + last + 1, left : left + columns] += above
    return result[:height, :width].contiguous()


@_attend.register_fake
def _(query: Tensor, key: Tensor, gain: Tensor, table: Tensor, key_width: int) -> Tensor:
    return query.new_empty(*query.shape[:2], table.shape[2] // 2)


@torch.library.custom_op(
    "realciao::attend_backward",
    mutates_args=(),
    schema="(Tensor query, Tensor key, Tensor gain, Tensor table, int key_width, Tensor grad)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def _attend_backward(
    query: Float[Tensor, "h w d"],
    key: Float[Tensor, "d l"],
    gain: Float[Tensor, "l"],
    table: Float[Tensor, "2 l e"],
    key_width: int,
    grad: Float[Tensor, "h w c"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, gain, table: scores anew, slab by slab of rows, each with all that follows from it alone."""
    with torch.autocast(query.device.type, enabled=False):
        return _gradients(query, key, gain, table, key_width, grad)


@_attend_backward.register_fake
def _(
    query: Tensor, key: Tensor, gain: Tensor, table: Tensor, key_width: int, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(gain), torch.empty_like(table)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.key_width = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Float[Tensor, "h w c"]) -> tuple[Tensor | None, ...]:
    return *_attend_backward(*ctx.saved_tensors, ctx.key_width, grad), None


_attend.register_autograd(_differentiate, setup_context=_keep)


def _gradients(
    query: Float[Tensor, "h w d"],
    key: Float[Tensor, "d l"],
    gain: Float[Tensor, "l"],
    table: Float[Tensor, "2 l e"],
    key_width: int,
    grad: Float[Tensor, "h w c"],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (height, width, depth), keys = query.shape, len(gain)
    pieces = _pieces(query.device.type)
    rows = max(pieces.min_slab_rows, pieces.slab_bytes // (query.itemsize * (width + 6) * keys) - 4)
    border = _border(gain)
    both = table[0] + table[1]
    odd = width % 2
    padded = F.pad(query, (0, 0, 1, 1, 1, 1))
    # what the tap above and the one here receive, side by side; two rows and columns of zeros around, an even width
    grad = F.pad(grad, (0, 0, 0, 2 + odd, 1, 2))
    grad = torch.cat([grad[1:], grad[:-1]], dim=2)
    grad_query = torch.zeros_like(padded)
    grad_key, grad_gain, grad_table = torch.zeros_like(key), torch.zeros_like(gain), torch.zeros_like(table)
    for y in range(0, height, rows):
        count = min(rows, height - y)
        patch = padded[y : y + count + 2].reshape(-1, depth)
        products = box(torch.mm(patch, key).view(count + 2, width + 2, keys), key_width)
        weights = products.clone().view(-1, keys)
        _softmax(weights, gain, border)
        weights = weights.view(count, width, keys)
        summed = box(F.pad(weights, (0, 0, 2, 2 + odd, 2, 2)), key_width)
        _zero_outside(summed, y - 1, -1, height, width)
        received = grad[y : y + count + 2].reshape(-1, 2, grad.shape[2])
        grad_summed = filter_pairs_backward(summed.view(-1, 2, keys), received, table, both, grad_table)
        grad_summed = grad_summed.view_as(summed)
        _zero_outside(grad_summed, y - 1, -1, height, width)
        grad_scores = box(grad_summed[:, : width + 2], key_width).mul_(weights)
        grad_scores.addcmul_(weights, grad_scores.sum(dim=2, keepdim=True), value=-1)
        grad_gain += products.mul_(grad_scores).sum(dim=(0, 1))
        grad_products = box(F.pad(grad_scores.mul_(gain), (0, 0, 2, 2, 2, 2)), key_width).view(-1, keys)
        grad_query[y : y + count + 2] += torch.mm(grad_products, key.T).view(count + 2, width + 2, depth)
        grad_key.addmm_(patch.T, grad_products)
    return grad_query[1:-1, 1:-1].contiguous(), grad_key, grad_gain, grad_table


def _border(gain: Float[Tensor, "l"]) -> Float[Tensor, "l"]:
    """-inf where there is no key."""
    return torch.zeros_like(gain).masked_fill_(gain == 0, -torch.inf)


def _softmax(scores: Float[Tensor, "n l"], gain: Float[Tensor, "l"], border: Float[Tensor, "l"]) -> None:
    torch.addcmul(border, scores, gain, out=scores)
    torch.softmax(scores, dim=1, out=scores)


def _zero_outside(weights: Float[Tensor, "h w l"], top: int, left: int, height: int, width: int) -> None:
    """Zeros where a piece that begins at (top, left) of a map of height x width leaves it."""
    weights[: max(0, -top)] = 0
    weights[max(0, height - top) :] = 0
    weights[:, : max(0, -left)] = 0
    weights[:, max(0, width - left) :] = 0
