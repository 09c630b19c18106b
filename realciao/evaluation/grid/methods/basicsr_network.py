"""Networks of one scale, and a resize to the scale that is wanted: how Real-ESRGAN, BSRGAN and RealSR reach any scale."""

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import nn

from realciao.errors import UserError
from realciao.evaluation.grid.data_sets import Item, file_digest
from realciao.evaluation.grid.methods.method import METHOD_REGISTRY, Method, Picture
from realciao.images.reading import to_array, to_tensor
from realciao.registry import ARCH_REGISTRY, build
from realciao.upscaling.tiling import split_axis
from realciao.upscaling.upscaler import choose_device
from realciao.weights.catalogue import TEACHERS
from realciao.weights.networks import teacher_network
from realciao.weights.pretrained import basicsr_name
from realciao.weights.shipped import find_weights
from realciao.weights.state import load_tensors, read_state_dict
from realciao.weights.teachers import read_teacher

TILE_PX, HALO_PX = 192, 16
FILTERS = {"lanczos": cv2.INTER_LANCZOS4, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@METHOD_REGISTRY.register()
class BasicSR(Method):
    """A network for one scale at its own scale, then a resize to the wanted size.

    Args:
        model: a teacher, by a name that `infer.py --list_models` lists or by its checkpoint's path; network and scale are found
            out.
        network: in place of that, the spec of a network of BasicSR's, e.g. {type: RRDBNet, num_in_ch: 3, num_out_ch: 3} for
            Real-ESRGAN x4plus, BSRGAN and RealSR.
        path: the weights of `network`, .pth or .safetensors, read without unpickling anything but tensors.
        scale: what `network` enlarges by.
        resize: the filter of the resize that follows, OpenCV's; Real-ESRGAN takes lanczos.
        repeat: run the network again on its own 8-bit result as long as that is smaller than wanted.
    """

    def __init__(
        self,
        network: dict[str, Any] | None = None,
        path: str | None = None,
        scale: int = 4,
        resize: Literal["lanczos", "bicubic", "area"] = "lanczos",
        repeat: bool = False,
        model: str | None = None,
    ) -> None:
        if (model is None) == (network is None or path is None):
            raise ValueError("needs a model, or a network and the path of its weights")
        self.network = network
        self.weights = str(model or path)
        self.scale = scale
        self.resize = resize
        self.repeat = repeat
        self.device = "auto"
        self._net: nn.Module | None = None

    @property
    def default_name(self) -> str:
        return self.weights if self.weights in TEACHERS else Path(self.weights).stem

    def problem(self) -> str:
        if self.network is None and self.weights in TEACHERS:
            try:
                find_weights(self.weights)
            except UserError as error:  # which says how to install it
                return f"no weights: {error}"
            return ""
        return "" if Path(self.weights).is_file() else f"no weights: {self.weights}"

    def identity(self, item: Item) -> str:
        if self.network is None:
            return f"{file_digest(find_weights(self.weights))} {self.resize} repeat {self.repeat} 1"
        return f"{file_digest(Path(self.weights))} {self.network} x{self.scale} {self.resize} repeat {self.repeat} 1"

    def to(self, device: str) -> None:
        self.device = device

    def build(self) -> nn.Module:
        """The network with its weights, or with random ones where a network without them is given."""
        if self.network is None:
            teacher = read_teacher(self.weights)
            self.scale = teacher.scale
            return teacher_network(teacher).get_submodule("encoder")  # which pads to the sizes that the teacher takes
        net: nn.Module = build(ARCH_REGISTRY, self.network, "network")
        if not self.problem():
            load_tensors(net, {basicsr_name(name): t for name, t in read_state_dict(self.weights).items()})
        return net.eval()

    @torch.inference_mode()
    def upscale(self, item: Item, lq: Picture, size: tuple[int, int]) -> Picture:
        if self._net is None:
            self._net = self.build().to(choose_device(self.device))
        image = self._enlarge(self._net, lq)
        while self.repeat and image.shape[0] < size[0]:
            image = self._enlarge(self._net, np.rint(image * 255) / np.float32(255))
        if image.shape[:2] == size:
            return image
        return cv2.resize(image, size[::-1], interpolation=FILTERS[self.resize]).clip(0, 1)

    def _enlarge(self, net: nn.Module, image: Picture) -> Picture:
        """One pass of the network, tile by tile."""
        height, width = image.shape[:2]
        device = next(net.parameters()).device
        result = np.empty((height * self.scale, width * self.scale, 3), np.float32)
        columns = list(split_axis(width, width * self.scale, TILE_PX, HALO_PX, 1, (0, width)))
        for rows in split_axis(height, height * self.scale, TILE_PX, HALO_PX, 1, (0, height)):
            for cols in columns:
                tile = np.ascontiguousarray(image[rows.begin : rows.end, cols.begin : cols.end])
                made: Any = net(to_tensor(tile).to(device))
                large = to_array(made[1] if isinstance(made, tuple) else made)  # an encoder's Encoded
                top, left = rows.out_begin - rows.begin * self.scale, cols.out_begin - cols.begin * self.scale
                window = result[rows.out_begin : rows.out_end, cols.out_begin : cols.out_end]
                window[:] = large[top : top + window.shape[0], left : left + window.shape[1]]
        return result.clip(0, 1)
