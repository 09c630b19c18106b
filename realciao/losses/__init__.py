"""Losses. L1Loss, CharbonnierLoss and GANLoss are BasicSR's, from its registry; here stands only what it lacks."""

from realciao.registry import import_all

import_all(__name__)
