"""The options of a run: YAML in BasicSR's vocabulary, as frozen structures; no default is stated anywhere else.

At the top level `train`, `network_d`, `teacher` and `datasets.train` are every stage's defaults; without `stages` they are the
one stage, named "train".
"""

import difflib
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from os import PathLike
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from realciao.errors import OptionError, did_you_mean
from realciao.options.tree import Node, OptionDumper, merge, override, read_layers

MAX_SCALE = 30.0
"""The highest scale that options may ask for."""

Spec = dict[str, Any]
"""`{"type": ..., ...}`: what `realciao.registry.build` makes an object of, and checks against the class it makes."""
FileName = Annotated[str, Meta(pattern=r"^\w[\w .+-]*\Z")]
"""Names become file and folder names."""
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the option file with fixed keys."""


class TrainData(Section, frozen=True, kw_only=True):
    """`datasets.train`: what the loader needs; all other keys are the dataset's own."""

    batch_size: Positive
    """Images per process and step."""
    num_workers: Count = 2
    """Loader processes per training process; 0 loads in the training process itself."""
    dataset: Spec


class ValSet(Section, frozen=True, kw_only=True):
    """One entry of `datasets.val`; all other keys are the dataset's own."""

    name: FileName
    dataset: Spec


class Datasets(Section, frozen=True, kw_only=True):
    train: TrainData
    val: tuple[ValSet, ...] = ()


class TeacherOptions(Section, frozen=True, kw_only=True):
    """Another network, whose result is a target: `target: teacher` in a loss."""

    model: str
    """Its name (`infer.py --list_models`), or the path of its weights."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of its convolutions, where it runs in the training; auto is bfloat16 where CUDA has it, else float32."""


class Stage(Section, frozen=True, kw_only=True):
    """One stage of the training. A loss that is absent is not computed."""

    name: FileName
    total_iter: Positive
    train_data: TrainData = msgspec.field(name="datasets")
    """`datasets.train` of the file, with what the stage's own `datasets.train` changes."""
    optim_g: Spec
    optim_d: Spec | None = None
    scheduler: Spec | None = None
    warmup_iter: Count = 0
    """Iterations at the start in which the learning rate rises linearly to what the schedule says."""
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    ema_warmup: bool = False
    """Whether the decay rises from 0.1, as (1 + t) / (10 + t), so that the first weights are soon forgotten."""
    accum_iter: Positive = 1
    """Batches whose gradients are added up for one iteration; an iteration's images are their product with the processes."""
    grad_clip: Annotated[float, Meta(gt=0)] | None = None
    """Largest norm of a network's gradient."""
    freeze: tuple[str, ...] = ()
    """Parts of network_g that stand still, e.g. [encoder]."""
    teacher: TeacherOptions | None = None
    """Whose result the losses with `target: teacher` compare with."""
    pixel_opt: Spec | None = None
    perceptual_opt: Spec | None = None
    fft_opt: Spec | None = None
    color_opt: Spec | None = None
    gan_opt: Spec | None = None
    losses: tuple[Spec, ...] = ()
    """More losses, or all. In any loss, `target: usm` asks for the sharpened target and `target: teacher` for the teacher's
    result; in this list, `name` is its name in the log."""
    network_d: Spec | None = None
    l1_gt_usm: bool = False
    """Whether the pixel loss sees the sharpened target; likewise below."""
    percep_gt_usm: bool = False
    gan_gt_usm: bool = False
    net_d_iters: Positive = 1
    """The generator steps once in so many iterations; the discriminator in each."""
    net_d_init_iters: Count = 0
    """Iterations at the start in which only the discriminator steps."""

    def __post_init__(self) -> None:
        listed = [spec for spec in self.losses if is_adversarial(spec)]
        if len(listed) + (self.gan_opt is not None) > 1:
            raise OptionError("losses", "more than one adversarial loss")
        gan_opt = listed[0] if listed else self.gan_opt
        adversarial = {"network_d": self.network_d, "optim_d": self.optim_d, "gan_opt": gan_opt}
        missing = [key for key, spec in adversarial.items() if spec is None]
        given = [key for key in adversarial if key not in missing]
        if given and missing:
            raise OptionError(
                missing[0], f"is missing; {' and '.join(given)} cannot do without it (null turns them off)"
            )
        keys = ("pixel_opt", "perceptual_opt", "fft_opt", "color_opt", "gan_opt", "losses")
        if not any(getattr(self, key) is not None and getattr(self, key) != () for key in keys):
            raise OptionError("", f"needs at least one of {', '.join(keys[:-1])} and losses")


def is_adversarial(spec: Spec) -> bool:
    """Whether a loss is the discriminator's: BasicSR's GANLoss, or another whose name ends so."""
    return str(spec.get("type")).endswith("GANLoss")


class PathOptions(Section, frozen=True, kw_only=True):
    experiments_root: str = "experiments"
    """Folder of the runs; this one writes into `experiments_root/name`."""
    pretrain_network_g: str | None = None
    """Weights that the first stage starts from."""


class Val(Section, frozen=True, kw_only=True):
    every: Positive = 5000
    """Steps from one validation to the next."""
    metrics: tuple[str, ...] = ("psnr", "ssim")
    best: Annotated[str, Meta(pattern=r"^[^/]+/[^/]+\Z")] | None = None
    """SET/METRIC by which checkpoints are compared for `logger.keep_best`; its best weights are net_g_best.safetensors."""
    weights: Literal["ema", "raw"] = "ema"
    """Which weights are validated: the averaged ones, or those that the optimizer moves."""


class Logger(Section, frozen=True, kw_only=True):
    print_every: Positive = 100
    save_every: Positive = 5000
    keep_last: Positive | None = 5
    """Checkpoints kept, with the numbered weights of their steps; null keeps all. The end of each stage is always kept."""
    keep_every: Positive | None = None
    """Beside these, each whose step is a multiple of this."""
    keep_best: Count = 1
    """Beside these, so many with the highest marks by `val.best`."""
    trackers: tuple[str, ...] = ("tensorboard",)


class Health(Section, frozen=True, kw_only=True):
    """When a run that goes wrong is stopped; the defaults are far from what a sound run does. See training/health.py."""

    max_skipped: Count = 20
    """Updates left out, of the last 1000 iterations, because a gradient was not finite or exploded."""
    grad_factor: Annotated[float, Meta(gt=1)] = 100.0
    """A gradient explodes whose norm is so many times the usual one."""
    max_collapsed: Positive = 2000
    """Iterations in a row in which the discriminator's loss is under 1 % of what guessing costs."""
    max_off_color: Positive = 3
    """Looks in a row, one every `print_every`, at the fixed preview samples, with grey, flat or shifted colours."""


class Engine(Section, frozen=True, kw_only=True):
    """How the work is done, and in which precision."""

    mixed_precision: Literal["no", "fp16", "bf16"] | None = None
    """Of the networks' passes while training; losses, weights and validation are float32. null: as `accelerate launch` says."""
    tf32: bool = False
    """TensorFloat-32 in matrix products and convolutions, on GPUs that have it."""
    channels_last: bool = False
    """Memory format of the networks and their images; faster with tensor cores."""
    compile: Spec | None = None
    """`torch.compile` of the networks: its arguments, e.g. {mode: default}; {} takes its defaults, null is off."""
    timeout_s: Positive = 1800
    """How long a process waits for the others before it gives up."""


class Compare(Section, frozen=True, kw_only=True):
    """The picture made at the end of a run: input, bicubic, and each stage, side by side."""

    image: str
    """A file, or "builtin" for a photo that comes with scikit-image."""
    scales: Annotated[tuple[Annotated[float, Meta(ge=1, le=MAX_SCALE)], ...], Meta(min_length=1)] = (2.37, 4.0)


class Options(Section, frozen=True, kw_only=True, dict=True):
    """One run. `dict` is for the tree behind `locate`, which is no part of the value."""

    name: FileName
    manual_seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    scale_range: tuple[float, float] = (1.0, 4.0)
    """Lowest and highest scale of the training pairs."""
    datasets: Datasets
    network_g: Spec
    path: PathOptions = PathOptions()
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]
    val: Val = Val()
    logger: Logger = Logger()
    health: Health = Health()
    engine: Engine = Engine()
    compare: Compare | None = None

    def __post_init__(self) -> None:
        low, high = self.scale_range
        if not 1 <= low <= high <= MAX_SCALE:
            raise OptionError("scale_range", f"expected 1 <= low <= high <= {MAX_SCALE:g}, got [{low:g}, {high:g}]")
        if self.val.best:
            name, metric = self.val.best.split("/")
            for kind, one, known in (
                ("set", name, [v.name for v in self.datasets.val]),
                ("metric", metric, self.val.metrics),
            ):
                if one not in known:
                    raise OptionError("val.best", f"no validation {kind} '{one}'{did_you_mean(one, known)}")
        for key, named in (("stages", self.stages), ("datasets.val", self.datasets.val)):
            names = [item.name for item in named]
            for i, name in enumerate(names):
                if name in names[:i]:
                    raise OptionError(f"{key}.{i}.name", f"'{name}' is taken by item {names.index(name)}")

    @property
    def teacher_model(self) -> str | None:
        """The first teacher that a stage names: what `weights: teacher` of an encoder stands for."""
        return next((stage.teacher.model for stage in self.stages if stage.teacher), None)

    @property
    def total_iter(self) -> int:
        """Steps of all stages together."""
        return sum(stage.total_iter for stage in self.stages)

    def stage_at(self, step: int) -> tuple[int, Stage, int]:
        """Index of the stage that comes after `step` steps have been made, the stage, and how many came before it.

        When all have been made, that is the last stage.
        """
        starts = list(accumulate((stage.total_iter for stage in self.stages), initial=0))[:-1]
        index = max(i for i, start in enumerate(starts) if start <= step)
        return index, self.stages[index], starts[index]

    def locate(self, path: str) -> str:
        """`"FILE:LINE: "` of the deepest value that exists along a dotted path; "" for options that no file gave."""
        tree: Node | None = vars(self).get("tree")
        return f"{tree.deepest(path.split('.'))[0].place}: " if tree else ""


SHARED = ("network_d", "teacher")
"""Keys of a stage that may stand at the top level, for all stages."""

# Keys of a dataset's mapping that are not the dataset's; they outlive a change of its `type`.
LOADER_KEYS = frozenset(TrainData.__struct_fields__) - {"dataset"}


def load_options(paths: Sequence[str | PathLike[str]], overrides: Sequence[str] = ()) -> Options:
    """The options that the files give together: each is merged over those before it, then the overrides in their order.

    Args:
        paths: option files, at least one; a file's key `base` names another one that it is laid over.
        overrides: e.g. "stages.0.total_iter=20".

    Raises:
        OptionError: one line with file and line (or the override), the key's path as written, and what is wrong.
    """
    first, *others = [read_layers(path, LOADER_KEYS) for path in paths]
    tree = first
    for other in others:
        tree = merge(tree, other, LOADER_KEYS)
    for setting in overrides:
        tree = override(tree, setting, LOADER_KEYS)
    tree = _fill_stages(tree)
    options = _convert(_group(tree))
    vars(options)["tree"] = tree
    return options


def dump_options(options: Options) -> str:
    """The options as YAML with every default written out; loading it gives equal options."""

    def flat(data: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in data.items() if key != "dataset"} | data["dataset"]

    data = msgspec.to_builtins(options)
    data["datasets"] = {
        "train": flat(data["datasets"]["train"]),
        "val": [flat(item) for item in data["datasets"]["val"]],
    }
    for stage in data["stages"]:
        stage["datasets"] = {"train": flat(stage["datasets"])}
    return yaml.dump(data, Dumper=OptionDumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def _fill_stages(tree: Node) -> Node:
    """The tree with `stages` in which each stage holds all of its keys, those of the top level included."""
    top = tree.value
    train = top.get("train", replace(tree, value={}))
    if not isinstance(train.value, dict):
        raise train.error(f"expected a mapping, got {train.value!r}")
    data, absent = tree.deepest(["datasets", "train"])
    if absent:  # the user will hear of it once, as the top level's error, and not from each stage as well
        data = replace(tree, value={"batch_size": replace(tree, value=1)})
    shared = {key: top[key] for key in SHARED if key in top}
    shared["datasets"] = replace(top.get("datasets", tree), value={"train": data})
    defaults = merge(replace(train, value=shared), train, LOADER_KEYS)
    if "stages" in top:
        stages = top["stages"].edit_items(lambda stage: merge(defaults, stage, LOADER_KEYS))
    elif "train" in top:
        name = replace(train, value="train")
        stages = replace(train, value=[merge(replace(train, value={"name": name}), defaults)])
    else:
        return tree
    return replace(tree, value={**top, "stages": stages})


def _group(tree: Node) -> Node:
    """The tree in the form of `Options`: a dataset's own keys under `dataset`, the stages' defaults gone."""
    tree = replace(tree, value={key: child for key, child in tree.value.items() if key not in ("train", *SHARED)})
    train, val_set = _separate(TrainData), _separate(ValSet)
    tree = tree.edit("datasets", lambda datasets: datasets.edit("train", train))
    tree = tree.edit("datasets", lambda datasets: datasets.edit("val", lambda val: val.edit_items(val_set)))

    def stage_data(datasets: Node) -> Node:
        for key, child in datasets.value.items() if isinstance(datasets.value, dict) else ():
            if key != "train":
                raise child.error("unknown key; in a stage, datasets holds train alone")
        return datasets.edit("train", train).deepest(["train"])[0]

    return tree.edit("stages", lambda stages: stages.edit_items(lambda stage: stage.edit("datasets", stage_data)))


def _separate(section: type[TrainData] | type[ValSet]) -> Callable[[Node], Node]:
    own = [field for field in section.__struct_fields__ if field != "dataset"]

    def separate(node: Node) -> Node:
        if not isinstance(node.value, dict):
            return node
        ours = {key: child for key, child in node.value.items() if key in own}
        rest = {key: child for key, child in node.value.items() if key not in own}
        for key, child in rest.items():
            # such a key could be the dataset's own (patch_size is not batch_size), so only the likeliest slips count
            near = difflib.get_close_matches(key, [name for name in own if name[:1] == key[:1]], n=1, cutoff=0.8)
            if near:
                raise child.error(f"unknown key; did you mean '{near[0]}'?")
        return replace(node, value={**ours, "dataset": replace(node, value=rest)})

    return separate


def _convert(tree: Node) -> Options:
    try:
        return msgspec.convert(tree.plain(), Options)
    except msgspec.ValidationError as error:
        found = OptionError.from_msgspec(error, tree.plain())
        path = found.path.split(".") if found.path else []
        node, rest = tree.deepest(path)
        if found.problem == "unknown key":
            raise node.error(f"unknown key{_known(path[:-1], path[-1])}") from error
        raise node.error(found.problem, *rest) from error


def _known(path: Sequence[str], name: str) -> str:
    """What the section at `path` calls its keys, as the end of a sentence about the unknown `name`."""
    section: type[Section] = Options
    for key in path:
        if not key.isdecimal():  # the items of a list are of the list's one type
            hint = {field.encode_name: field.type for field in msgspec.structs.fields(section)}[key]
            section = _sections(hint)[0]
    names = [*section.__struct_encode_fields__, *(("train", *SHARED) if section is Options else ())]
    return did_you_mean(name, names) or f"; known: {', '.join(names)}"


def _sections(hint: Any) -> list[type[Section]]:
    """The sections that a type is made of."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return [hint]
    return [section for part in typing.get_args(hint) for section in _sections(part)]
