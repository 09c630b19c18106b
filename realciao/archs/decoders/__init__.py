"""Decoders: a feature map, once prepared, to colours at any coordinates.

Each has `reach_px` (how far from a query's cell the features that it reads lie, in LR pixels; None where there is no bound),
`prepare(feat, lq, frame, dense)`, called once an image, then `query(prepared, coord, cell)` and
`query_grid(prepared, ys, xs, cell)`, called as often as is convenient: the split never changes a result.
"""

from realciao.registry import import_all

import_all(__name__)
