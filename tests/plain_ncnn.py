"""What the library ncnn makes of an image: the judge of our reader of its files. No file of the project is read here."""

from pathlib import Path

import ncnn
import numpy as np


def run_ncnn(param: Path, numbers: Path, image: np.ndarray) -> np.ndarray:
    """The network of the files on an HWC image, computed in float32 throughout."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "winograd_convolution"):
        setattr(net.opt, f"use_{option}", False)
    net.opt.use_packing_layout = False
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(numbers)) == 0
    extractor = net.create_extractor()
    chw = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    extractor.input("data", ncnn.Mat(chw).clone())  # else it is the array's memory, which may be gone
    status, result = extractor.extract("output")
    assert status == 0
    return np.array(result).transpose(1, 2, 0)
