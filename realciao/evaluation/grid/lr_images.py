"""How an LR image is made of a ground truth: by bicubic interpolation, or by a recipe of degradations."""

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

import degradations
from realciao.images.matlab_resize import resize_levels
from realciao.images.reading import from_float, to_array, to_float, to_tensor
from realciao.recipe_views.plans import drawn_plans

Picture = Float[np.ndarray, "h w 3"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Bicubic:
    """Bicubic interpolation with antialiasing, 8 bit.

    Attributes:
        kernel: "matlab", rounded after each axis; "pillow"; or "torch", rounded once.
    """

    kernel: str

    def __str__(self) -> str:
        return f"{self.kernel} bicubic"

    def identity(self, name: str, scale: float, gt_size: Size) -> str:
        """What decides the result beside the ground truth."""
        return self.kernel

    def __call__(self, gt: Picture, size: Size, name: str, scale: float) -> Picture:
        """The LR image of `size` (height, width), of 8 bit levels in [0, 1] as is the ground truth."""
        if self.kernel == "torch":
            small = torch.nn.functional.interpolate(to_tensor(gt), size, mode="bicubic", antialias=True)
            return to_float(from_float(to_array(small), np.uint8))
        levels = from_float(gt, np.uint8)
        if self.kernel == "matlab":
            return to_float(resize_levels(levels, size))
        return to_float(np.asarray(Image.fromarray(levels).resize((size[1], size[0]), Image.Resampling.BICUBIC)))


@dataclass(frozen=True)
class Recipe:
    """A recipe of degradations. What an image meets follows from `seed`, its name and the scale, and from no other image.

    Attributes:
        pipeline: name of a recipe, or a YAML file.
        seed: of the degradations.
    """

    pipeline: str
    seed: int

    def __str__(self) -> str:
        return f"recipe {self.pipeline}, seed {self.seed}"

    def identity(self, name: str, scale: float, gt_size: Size) -> str:
        """What decides the result beside the ground truth: the whole plan."""
        return json.dumps(self._plan(name, scale, gt_size), sort_keys=True)

    def __call__(self, gt: Picture, size: Size, name: str, scale: float) -> Picture:
        """The LR image, in [0, 1]; its size is that of the ground truth over `scale`, rounded, which is `size`."""
        return degradations.apply(self._plan(name, scale, (gt.shape[0], gt.shape[1])), gt)

    def _plan(self, name: str, scale: float, gt_size: Size) -> dict[str, Any]:
        number = int.from_bytes(hashlib.sha256(f"{name}\0{scale!r}".encode()).digest()[:8], "big")
        return drawn_plans(recipe(self.pipeline), scale, self.seed)(number, gt_size)


recipe = functools.cache(degradations.build_pipeline)
"""The recipe of a name or a file; raises degradations.RecipeError."""
