"""What the decoder is to reach."""

from realciao.benchmarks.instruments.report import Figure
from realciao.benchmarks.instruments.targets import Target

_LARGE: dict[str, Figure] = {"encoder": "edsr", "LR": 192, "scale": 4}
_MIDDLE: dict[str, Figure] = {"encoder": "edsr", "LR": 96, "scale": 4}

IMAGE_TARGETS = (
    Target(_LARGE, "ours x published", 27, goal=30),
    Target(_LARGE, "ours x plain", 9, goal=10),
    Target(_LARGE, "ours / LTE", 1.2, at_least=False),
    Target(_LARGE, "ours / LIIF", 1.6, at_least=False),
    Target(_LARGE, "share of GEMM", 0.85),
    Target(_MIDDLE, "ours x published", 5),
    Target(_MIDDLE, "ours x plain", 3.6),
    Target(_MIDDLE, "ours / LTE", 1.0, at_least=False),
    Target(_MIDDLE, "ours / LIIF", 1.6, at_least=False),
    Target(_MIDDLE, "share of GEMM", 0.85),
)
SCALING_TARGETS = (
    Target({"non-local": "off"}, "spread", 0.15, at_least=False),
    Target({"non-local": "windows of 256"}, "spread", 0.15, at_least=False),
)
TRAINING_TARGETS = (
    Target({"encoder": "edsr"}, "ours x plain", 1.4, goal=2),
    Target({"encoder": "edsr"}, "gradient differs by", 1e-4, at_least=False),
    Target({"encoder": "edsr"}, "worst in float64", 1e-4, at_least=False),
)
