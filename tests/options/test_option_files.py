"""The option files that come with the project: each loads, builds at full size, and makes a step of every stage when shrunk."""

import functools
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator, init_empty_weights
from tiny_run import write_photos
from tiny_teacher import save_pairs, save_teacher
from torchvision.models.vgg import VGG, cfgs, make_layers

import realciao.losses.perceptual_loss as perceptual
from degradations.pipeline import build_pipeline
from realciao.data import build_val_set
from realciao.errors import OptionError
from realciao.metrics import build_metric
from realciao.options.run import Options, load_options
from realciao.training.rehearsal import rehearse, rehearse_validation
from realciao.training.stage_run import StageRun, Weights
from realciao.weights.checkpoint import save_weights
from realciao.weights.networks import build_network

FILES = sorted((Path(__file__).parents[2] / "options").glob("[!e]*.yml"))  # eval_*.yml are evaluate.py's
ANOTHER_RECIPE = "{steps: [{type: Resize, relative_to: lr, mode: bicubic, antialias: true}]}"

# Parameters of the generator: from the released models, the papers' tables and the counts of their code
PARAMETERS = {
    "train_ciaosr_edsr": 2_649_030,
    "train_ciaosr_rdn": 23_402_566,
    "train_ciaosr_swinir": 14_667_218,
    "train_realciaosr_published": 11_499_300 + 2_672_555,
    "ablation_no_nonlocal": 1_220_416 + 1_334_147,
    "train_liif": 1_567_299,
    "train_lte": 1_714_243,
    "train_itsrn": 1_220_416 + 645_314,
}


def shrink(options: Options, folder: Path) -> list[str]:
    """Overrides under which a step of the file takes a fraction of a second, on photos made up for it."""
    photos = write_photos(folder / "photos", count=2, edge=200)
    encoder = options.network_g["encoder"]["type"]
    teacher = save_teacher(folder / "teacher.pth")
    widths = {
        "EDSREncoder": "num_feat: 4, num_block: 1",
        "RDNEncoder": "num_feat: 4, num_block: 2, num_layer: 2, growth: 4",
        "SwinIREncoder": "embed_dim: 8, depths: [2], num_heads: [2], window_size: 4",
        "SmallEncoder": "num_feat: 4, num_block: 1",
    }
    overrides = [f"network_g.encoder={{type: {encoder}, {widths[encoder]}}}"] if encoder in widths else []
    overrides += [f"teacher.model={teacher}"] if options.teacher_model else []
    hidden = 8 if options.network_g["decoder"]["type"] == "MetaSRDecoder" else [8]
    overrides += [f"network_g.decoder.hidden={hidden}", f"path.experiments_root={folder / 'experiments'}"]
    for path, spec in [("datasets.train", options.datasets.train.dataset)] + [
        (f"datasets.val.{i}", val.dataset) for i, val in enumerate(options.datasets.val)
    ]:
        overrides += [f"{path}.{key}={photos}" for key in ("dataroot_gt", "dataroot_lq") if key in spec]
        overrides += [f"{path}.pipeline={ANOTHER_RECIPE}"] if "pipeline" in spec else []
        if spec["type"] == "TaughtDataset":
            kept = {"scale_range": options.scale_range, "gt": True, "features": True}
            overrides += [f"{path}.dataroot={save_pairs(folder / 'pairs', photos, teacher, **kept)}"]
    for i, stage in enumerate(options.stages):
        data = "datasets.train" if len(options.stages) == 1 else f"stages.{i}.datasets.train"
        points = stage.train_data.dataset.get("window") is None
        taught = stage.train_data.dataset["type"] == "TaughtDataset"
        overrides += [f"{data}.sample_q=16"] if points else [f"{data}.window=16"]
        overrides += [f"{data}.lq_size=8"] if points and not taught else []
        overrides += [f"stages.{i}.network_d.num_feat=2"] if stage.network_d else []
    return overrides


@functools.cache
def narrow_vgg(vgg_type: str) -> VGG:
    """VGG's layers by their names with a sixteenth of the channels, in place of the download."""
    assert vgg_type == "vgg19"
    return VGG(make_layers([width if width == "M" else int(width) // 16 for width in cfgs["E"]]), init_weights=False)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_option_file_builds_and_makes_a_step_of_each_stage(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "_make_vgg", lambda vgg_type, _: narrow_vgg(vgg_type))
    options = load_options([file])
    options = load_options([file], shrink(options, tmp_path))
    weights = None
    if options.path.pretrain_network_g:
        save_weights(build_network(options.network_g), tmp_path / "weights.safetensors")
        weights = Weights.read(tmp_path / "weights.safetensors")
    accelerator = Accelerator(cpu=True)
    for index in range(len(options.stages)):
        rehearse(StageRun(options, index), accelerator, weights if index == 0 else None)
    net = build_network(options.network_g, options.teacher_model).eval()
    for i, val in enumerate(options.datasets.val):
        rehearse_validation(net, build_val_set(val.dataset, f"datasets.val.{i}", seed=0), f"datasets.val.{i}")
    for name in options.val.metrics:
        build_metric(name, "val.metrics")
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_published_number_of_parameters(name: str) -> None:
    options = load_options([FILES[0].parent / f"{name}.yml"])
    with init_empty_weights():
        net = build_network(options.network_g)
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_recipe_that_an_option_file_names_is_there(file: Path) -> None:
    options = load_options([file])
    specs = [options.datasets.train.dataset, *(val.dataset for val in options.datasets.val)]
    for name in {spec["pipeline"] for spec in specs if "pipeline" in spec}:
        assert build_pipeline(name).sample(np.random.default_rng(0), (64, 64), 2)["lr_size"] == [32, 32]


def test_names_are_those_of_the_runs_and_none_is_used_twice() -> None:
    names = [load_options([file]).name for file in FILES]
    assert len(set(names)) == len(names)


def test_the_schedules_are_the_papers() -> None:
    def load(name: str) -> Options:
        return load_options([FILES[0].parent / f"{name}.yml"])

    (stage,) = load("train_ciaosr_swinir").stages
    assert (stage.total_iter, stage.optim_g["lr"], stage.train_data.batch_size) == (1_000_000, 1e-4, 16)
    assert stage.train_data.dataset["lq_size"] ** 2 == stage.train_data.dataset["sample_q"] == 2304
    halvings = [step for step in stage.scheduler["milestones"] if stage.scheduler["gamma"] == 0.5]
    assert halvings == [200_000, 400_000, 600_000, 800_000]
    first, second = load("train_realciaosr_paper").stages
    assert (first.total_iter, first.optim_g["lr"], second.total_iter) == (1_000_000, 2e-4, 400_000)
    assert second.optim_g["lr"] == second.optim_d["lr"] == 1e-4
    assert first.train_data.batch_size == second.train_data.batch_size == 48
    assert load("train_realciaosr_paper").scale_range[1] * first.train_data.dataset["lq_size"] == 256


# The key `base`


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "base.yml").write_text("name: base\nmanual_seed: 3\nscale_range: [1, 2]\n")
    (tmp_path / "deep" / "middle.yml").write_text("base: ../base.yml\nname: middle\nmanual_seed: 4\n")
    (tmp_path / "top.yml").write_text("base: deep/middle.yml\nname: top\nval: {every: 7}\n")
    return tmp_path


def test_a_file_is_laid_over_its_base_and_the_base_of_that(layers: Path) -> None:
    rest = FILES[[file.stem for file in FILES].index("train_ciaosr_edsr")]
    options = load_options([rest, layers / "top.yml"])
    assert (options.name, options.manual_seed, options.scale_range) == ("top", 4, (1, 2))
    assert options.val.every == 7
    assert options.locate("manual_seed") == f"{layers / 'deep' / 'middle.yml'}:3: "


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("base: 3\n", "base: expected the name of an option file, got 3"),
        ("base: bas.yml\n", "no such file; did you mean 'base.yml'?"),
        ("base: top.yml\n", "base: 'top.yml' leads back to itself"),
        ("base: deep/../top.yml\n", "base: 'deep/../top.yml' leads back to itself"),
    ],
)
def test_a_wrong_base_is_one_line(layers: Path, text: str, problem: str) -> None:
    (layers / "top.yml").write_text(text)
    with pytest.raises(OptionError) as caught:
        load_options([layers / "top.yml"])
    assert problem in str(caught.value)


def test_bases_in_a_ring_are_refused(layers: Path) -> None:
    (layers / "base.yml").write_text("base: top.yml\n")
    with pytest.raises(OptionError, match="leads back to itself"):
        load_options([layers / "top.yml"])
