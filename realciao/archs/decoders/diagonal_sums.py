"""Sums along the diagonals of a score matrix, and a two-tap filter whose coefficients are in the values.

Written X[t, l] for query pixel t and key pixel l, let box(X)[t, l] be the sum of X[t + d, l + d] over the nine shifts d of
a 3x3 window, zero outside both maps: a sum along the diagonals of X, separable, so four additions an element. Then
- the product of the 3x3 patches at t and l is box(query^T key)[t, l], with a ninth of the multiplications;
- weighted 3x3 blocks of values laid over each other and summed are box(weights) @ values, with a ninth of them too.
Box is its own transpose, which gives the gradients the same shape.

Layout: the key map has one column and one row of zeros on its right and below, flat with stride `key_width`. A step along
x on both maps, or along y, is then one constant distance in memory, whose zeros are the map's border.

Of a two-tap filter, two outputs take three products rather than four (Winograd's F(2, 2)): with x0 at an even place, p
before and n after it,
    out[even] = x0 (h0 + h1) + (p - x0) h1        out[odd] = x0 (h0 + h1) + (n - x0) h0.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def box(scores: Float[Tensor, "h w l"], key_width: int) -> Float[Tensor, "h-2 w-2 l"]:
    """The box sum, where a piece of the query map has all it needs of it."""
    height, width, keys = scores.shape
    along = torch.empty_like(scores, memory_format=torch.contiguous_format)
    sum_along(scores.reshape(-1), keys + 1, along.view(-1))
    result = scores.new_empty(height - 2, (width - 2) * keys)
    sum_across(along.view(height, -1), keys, key_width, result)
    return result.view(height - 2, width - 2, keys)


def sum_along(scores: Float[Tensor, "n"], step: int, out: Float[Tensor, "n"]) -> None:
    """Each element and those one step before and after it: box's sum along x, wrong in a row's first and last column."""
    out[:step] = scores[:step]
    torch.add(scores[step:], scores[:-step], out=out[step:])
    out[:-step] += scores[step:]


def sum_across(
    scores: Float[Tensor, "rows n"], keys: int, key_width: int, out: Float[Tensor, "rows-2 n-2*keys"]
) -> None:
    """Box's sum along y, for all but the first and last row and column."""
    above, here, below = (
        scores[i : len(out) + i, keys + shift : keys + shift + out.shape[1]]
        for i, shift in enumerate((-key_width, 0, key_width))
    )
    torch.add(above, here, out=out)
    out += below


def filter_pairs(
    pairs: Float[Tensor, "n 2 l"],
    table: Float[Tensor, "2 l e"],
    both: Float[Tensor, "l e"],
    spare: Float[Tensor, "n l"],
) -> Float[Tensor, "n 2 e"]:
    """Outputs (even, odd) of the two-tap filter for pairs (p, x0), where n is the next pair's p.

    table is (h1, h0), both their sum; spare is overwritten.
    """
    before, centre = pairs.unbind(1)
    shared = torch.mm(centre, both)
    result = shared.new_empty(len(shared), 2, shared.shape[1])
    torch.sub(before, centre, out=spare)
    result[:, 0] = torch.addmm(shared, spare, table[0])
    torch.sub(before[1:], centre[:-1], out=spare[:-1])  # the last pair has no next; its odd place is not used
    result[:, 1] = torch.addmm(shared, spare, table[1])
    return result


def filter_pairs_backward(
    pairs: Float[Tensor, "n 2 l"],
    grad: Float[Tensor, "n 2 e"],
    table: Float[Tensor, "2 l e"],
    both: Float[Tensor, "l e"],
    grad_table: Float[Tensor, "2 l e"],
) -> Float[Tensor, "n 2 l"]:
    """Transpose of `filter_pairs`: the gradient of the pairs; that of the table is added to grad_table."""
    before, centre = pairs.unbind(1)
    even, odd = grad.unbind(1)
    shared = even + odd
    grad_both = torch.mm(centre.T, shared)
    grad_table[0].add_(grad_both).addmm_((before - centre).T, even)
    grad_table[1].add_(grad_both).addmm_((before[1:] - centre[:-1]).T, odd[:-1])
    grad_before, grad_after = torch.mm(even, table[0].T), torch.mm(odd, table[1].T)
    result = torch.empty_like(pairs)
    result[:, 1] = torch.mm(shared, both.T).sub_(grad_before).sub_(grad_after)
    result[:, 0] = grad_before
    result[1:, 0] += grad_after[:-1]
    return result
