"""Bicubic interpolation."""

from realciao.evaluation.grid.data_sets import Item
from realciao.evaluation.grid.methods.method import METHOD_REGISTRY, Method, Picture
from realciao.images.matlab_resize import resize_float


@METHOD_REGISTRY.register()
class Bicubic(Method):
    """MATLAB's imresize with its bicubic kernel (a = -0.5)."""

    def identity(self, item: Item) -> str:
        return "bicubic, MATLAB's, 1"

    def upscale(self, item: Item, lq: Picture, size: tuple[int, int]) -> Picture:
        return resize_float(lq, size).clip(0, 1)
