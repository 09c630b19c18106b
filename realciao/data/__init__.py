"""Data sets and the training loader. Importing the package registers every data set in its files."""

from realciao.data.build import build_train_set, build_val_set
from realciao.data.datasets import Needs, SampleIndex, TrainSet, ValSet
from realciao.data.loader import build_train_loader
from realciao.data.photos import builtin_photo
from realciao.registry import import_all

__all__ = [
    "Needs",
    "SampleIndex",
    "TrainSet",
    "ValSet",
    "build_train_loader",
    "build_train_set",
    "build_val_set",
    "builtin_photo",
]

import_all(__name__)
