"""Decoders: a feature map, once prepared, to colours at any coordinates.

Each has `prepare(feat, lq, frame, dense)`, called once an image, then `query(prepared, coord, cell)` and
`query_grid(prepared, ys, xs, cell)`, called as often as is convenient: the split never changes a result.
"""

from realciao.registry import import_all

import_all(__name__)
