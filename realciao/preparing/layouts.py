"""The data sets that papers train and test on: which folders they come in, and how many images each holds."""

from pathlib import Path
from typing import NamedTuple

from realciao.errors import UserError
from realciao.images.paths import list_images

# Counts: DIV2K and Flickr2K by their papers and archives; OST by its own readme (SFTGAN); RealSRSet by BSRGAN's repository;
# DPED as the NTIRE 2020 challenge gave it out, which is how RealSR and BSRGAN use it
COUNTS = {
    "DIV2K_train_HR": 800,
    "DIV2K_valid_HR": 100,
    **{f"DIV2K_train_LR_{kind}/X{scale}": 800 for kind in ("bicubic", "unknown") for scale in (2, 3, 4)},
    **{f"DIV2K_valid_LR_{kind}/X{scale}": 100 for kind in ("bicubic", "unknown") for scale in (2, 3, 4)},
    "DIV2K_train_LR_x8": 800,
    "DIV2K_valid_LR_x8": 100,
    "Flickr2K_HR": 2650,
    **{f"Flickr2K_LR_{kind}/X{scale}": 2650 for kind in ("bicubic", "unknown") for scale in (2, 3, 4)},
    "DF2K_HR": 3450,
    "DF2K_train_HR": 3450,
    **{
        f"OutdoorSceneTrain_v2/{category}": count
        for category, count in {
            "sky": 1727,
            "water": 857,
            "building": 2285,
            "grass": 1140,
            "plant": 1036,
            "animal": 2187,
            "mountain": 1092,
        }.items()
    },
    "OutdoorSceneTrain_v2": 10324,
    "OST300_img": 300,
    "RealSRSet": 20,
    "DPEDiphone-tr-x": 5614,
    "DPEDiphone-crop-te-x": 100,
}
"""Images below a folder of this name, by the end of its path."""

EMPTY = "holds no image"


class Finding(NamedTuple):
    """A folder of a known data set."""

    folder: Path
    name: str
    expected: int
    found: int

    @property
    def complete(self) -> bool:
        return self.found == self.expected


def find_layouts(root: Path) -> list[Finding]:
    """Every folder at or below `root` that has the name of one in COUNTS, with how many images it holds.

    Raises:
        UserError: the folder is missing or cannot be listed.
    """
    if not root.is_dir():
        raise UserError(f"{root}: {'is a file, not a folder' if root.exists() else 'no such folder'}")
    root = root.absolute()
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    return [
        Finding(folder, name, expected, _count(folder))
        for folder in folders
        for name, expected in COUNTS.items()
        if folder.parts[-name.count("/") - 1 :] == tuple(name.split("/"))
    ]


def _count(folder: Path) -> int:
    try:
        return len(list_images(folder))
    except UserError as error:
        if EMPTY in str(error):
            return 0
        raise
