"""Encoders: an LR image to a feature map of the same height and width.

Each has `out_dim` (channels of the map), `multiple` (the padding grid that it applies to its input, 1 for none) and
`reach_px` (how far, in LR pixels, an input pixel can influence the map; None where there is no bound).
"""

from realciao.registry import import_all

import_all(__name__)
