"""The options of an evaluation: YAML as frozen structures; no default is stated anywhere else."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from degradations import RecipeError
from realciao.errors import OptionError, did_you_mean
from realciao.evaluation.grid.lr_images import Bicubic, Recipe, recipe
from realciao.options.run import MAX_SCALE, FileName, Positive, Section, Spec
from realciao.options.tree import Node, merge, override, read_tree

Scale = Annotated[float, Meta(gt=0, le=MAX_SCALE)]


def _check_scales(scales: tuple[float, ...]) -> None:
    for i, scale in enumerate(scales):
        if scale in scales[:i]:
            raise OptionError(f"scales.{i}", f"{scale:g} is named twice")


class DataSet(Section, frozen=True, kw_only=True):
    """One entry of `data`. With `dataroot_gt` there is a ground truth; without `dataroot_lq` its LR images are made of it.

    `{scale}` in a folder or a template becomes the scale, e.g. `DIV2K_valid_LR_bicubic/X{scale}`, `{}x{scale}`.
    """

    name: FileName
    dataroot_gt: str | None = None
    dataroot_lq: str | None = None
    filename_tmpl_gt: str = "{}"
    """Stem of a GT file, `{}` being what a pair shares."""
    filename_tmpl_lq: str = "{}"
    kernel: Literal["matlab", "pillow", "torch"] = "matlab"
    """By which LR images are made: MATLAB's imresize, Pillow's and torch's antialiased bicubic; all 8 bit."""
    pipeline: str | None = None
    """By which recipe of degradations they are made instead: its name, or a YAML file."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Of the recipe."""
    border: Literal["scale", "div2k"] | Annotated[int, Meta(ge=0)] = "scale"
    """Pixels that PSNR and SSIM leave out at each edge: ceil(scale), ceil(scale) + 6 (LIIF's rule for DIV2K), or so many."""
    scales: tuple[Scale, ...] | None = None
    """In place of the run's scales."""
    num_images: Positive | None = None
    """The first so many."""
    smallest: Positive | None = None
    """The so many with the fewest pixels."""
    optional: bool = False
    """Whether a missing folder is a remark in the tables, and no failure."""

    def __post_init__(self) -> None:
        if self.dataroot_gt is None and self.dataroot_lq is None:
            raise OptionError("", "needs dataroot_gt (ground truths), dataroot_lq (photos to upscale), or both")
        if self.pipeline is not None:
            if self.dataroot_lq is not None:
                raise OptionError("pipeline", "makes LR images, and dataroot_lq holds some; leave one out")
            try:
                recipe(self.pipeline)
            except RecipeError as error:
                raise OptionError("pipeline", str(error)) from error
        _check_scales(self.scales or ())
        for key in ("filename_tmpl_gt", "filename_tmpl_lq"):
            if getattr(self, key).count("{}") != 1:
                raise OptionError(key, f"must hold {{}} once, is '{getattr(self, key)}'")

    @property
    def make_lq(self) -> Bicubic | Recipe:
        """What makes an LR image of a ground truth, where none is read."""
        return Bicubic(self.kernel) if self.pipeline is None else Recipe(self.pipeline, self.seed)


class Known(Section, frozen=True, kw_only=True):
    """A number that a paper states for a cell of the table, or for a cost."""

    method: str
    metric: str
    value: float
    data: str | None = None
    scale: Scale | None = None


class Crop(Section, frozen=True, kw_only=True):
    """A place to look at, chosen by hand."""

    data: str
    image: str
    """As the tables name it."""
    scale: Scale
    box: tuple[int, int, int, int]
    """Top, left, bottom and right in pixels of the result."""


class Costs(Section, frozen=True, kw_only=True):
    """What each network takes, measured: parameters, seconds, memory."""

    lr_size: tuple[Positive, Positive]
    """Height and width of the LR image."""
    scale: Scale
    rounds: Positive = 3
    """The time is the median of so many."""


class GridOptions(Section, frozen=True, kw_only=True):
    """One evaluation, written to `output/name`."""

    name: FileName
    title: str = ""
    methods: Annotated[tuple[Spec | str, ...], Meta(min_length=1)]
    """Specs with a `type` (and a `name`; `optional: true` makes what is missing a remark), or in short: bicubic, a
    teacher's name (its own scale, then Lanczos), a weights file, a folder of finished images."""
    data: tuple[DataSet, ...] = ()
    scales: tuple[Scale, ...] = (4.0,)
    metrics: tuple[str | Spec, ...] = ()
    baseline: str | None = None
    """The method that the others are compared with, image by image; null for the first."""
    dataroot: str = "."
    """Folder that the data sets' folders are below, unless those are absolute."""
    output: str = "results"
    iqa_params: str | None = None
    device: str = "auto"
    seed: int = 0
    """Of the bootstrap."""
    crops: tuple[Crop, ...] = ()
    auto_crops: Annotated[int, Meta(ge=0)] = 6
    """So many crops more, where the methods differ most."""
    costs: Costs | None = None
    paper: tuple[Known, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences to print below the table."""

    def __post_init__(self) -> None:
        _check_scales(self.scales)
        if self.data and not self.metrics:
            raise OptionError("metrics", "is missing; e.g. [psnr_y, ssim_y] or [niqe, piqe]")
        if not self.data and not self.costs:
            raise OptionError("data", "is missing: a list of {name: ..., dataroot_gt: ... or dataroot_lq: ...}")
        names = [data.name for data in self.data]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise OptionError(f"data.{i}.name", f"'{name}' is taken by item {names.index(name)}; take another")
        for i, data in enumerate(self.data):
            if data.pipeline is not None and min(data.scales or self.scales, default=1) < 1:
                raise OptionError(f"data.{i}.pipeline", "a recipe makes images smaller: give scales of 1 or more")

    @property
    def folder(self) -> Path:
        return Path(self.output, self.name)


def load_grid_options(path: str | PathLike[str], overrides: Sequence[str] = ()) -> tuple[GridOptions, Node]:
    """The options of a file after `--set` overrides, and the tree that knows where each value was written.

    Raises:
        OptionError: one line with file and line (or the override), the key's path, and what is wrong.
    """
    tree = read_tree(path)
    base = tree.value.get("base")
    if base is not None:  # a file that changes another: options/eval_dped.yml is Table 9 on other photos
        below = read_tree(Path(path).parent / str(base.plain()))
        tree = merge(below, Node({k: v for k, v in tree.value.items() if k != "base"}, tree.path, tree.place))
    for setting in overrides:
        tree = override(tree, setting)
    try:
        return msgspec.convert(tree.plain(), GridOptions), tree
    except msgspec.ValidationError as error:
        found = OptionError.from_msgspec(error, tree.plain())
        raise placed(found, tree, _hint(found)) from error


def placed(error: OptionError, tree: Node, hint: str = "") -> OptionError:
    """The error with the file and line of the deepest value along its path."""
    node, rest = tree.deepest(error.path.split(".") if error.path else [])
    return node.error(error.problem + hint, *rest)


def _hint(error: OptionError) -> str:
    if error.problem != "unknown key":
        return ""
    *above, name = error.path.split(".")
    sections: dict[str, type[Any]] = {"data": DataSet, "paper": Known, "crops": Crop, "costs": Costs}
    known = sections.get(above[0] if above else "", GridOptions).__struct_encode_fields__
    return did_you_mean(name, known) or f"; known: {', '.join(known)}"
