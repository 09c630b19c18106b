"""Options: what a file means, and that whatever is wrong in it is one line with the place, the key and the remedy."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from realciao.errors import OptionError
from realciao.options.run import Options, dump_options, load_options

MINIMAL: dict[str, Any] = {
    "name": "tiny",
    "datasets": {
        "train": {"type": "SyntheticDataset", "dataroot_gt": "builtin", "batch_size": 2},
        "val": [{"name": "held_out", "type": "SyntheticDataset"}],
    },
    "network_g": {"type": "CiaoSR", "encoder": {"type": "EDSREncoder", "num_feat": 16}},
    "stages": [
        {"name": "psnr", "total_iter": 6, "optim_g": {"type": "Adam", "lr": 1e-4}, "pixel_opt": {"type": "L1Loss"}},
        {
            "name": "gan",
            "total_iter": 2,
            "optim_g": {"type": "Adam", "lr": 1e-4},
            "optim_d": {"type": "Adam", "lr": 1e-4},
            "gan_opt": {"type": "GANLoss", "gan_type": "vanilla"},
            "network_d": {"type": "UNetDiscriminatorSN"},
        },
    ],
    "logger": {"print_every": 3},
    "compare": {"image": "builtin"},
}
# examples are small from the start: shrinking them would take minutes
SMALL = settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


def changed(**top: Any) -> dict[str, Any]:
    """MINIMAL with other values at the top level; None takes the key away."""
    data = {**copy.deepcopy(MINIMAL), **top}
    return {key: value for key, value in data.items() if value is not None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("options")


@pytest.fixture(scope="module")
def load(folder: Path) -> Any:
    def load(*files: dict[str, Any] | str, overrides: tuple[str, ...] = ()) -> Options:
        """Loads texts, or mappings written one key per line, as 0.yml, 1.yml, ..."""
        for i, data in enumerate(files):
            text = data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False)
            (folder / f"{i}.yml").write_text(text, encoding="utf-8")
        return load_options([folder / f"{i}.yml" for i in range(len(files))], overrides)

    return load


@pytest.fixture(scope="module")
def complaint(load: Any, folder: Path) -> Any:
    def complaint(*files: Any, overrides: tuple[str, ...] = ()) -> str:
        with pytest.raises(OptionError) as caught:
            load(*files, overrides=overrides)
        line = str(caught.value).replace(f"{folder}/", "")
        assert "\n" not in line
        return line

    return complaint


# What a file means


def test_a_minimal_file_gets_the_documented_defaults(load: Any) -> None:
    options = load(MINIMAL)
    assert options.scale_range == (1.0, 4.0)
    assert options.path.experiments_root == "experiments"
    assert options.datasets.train.dataset == {"type": "SyntheticDataset", "dataroot_gt": "builtin"}
    assert (options.datasets.train.batch_size, options.datasets.train.num_workers) == (2, 2)
    assert options.datasets.val[0].dataset == {"type": "SyntheticDataset"}
    assert options.logger.print_every == 3
    assert [stage.ema_decay for stage in options.stages] == [0.999, 0.999]
    assert options.stages[0].train_data == options.datasets.train
    with pytest.raises(AttributeError):
        options.name = "other"


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "1.0e-4", "0.0001", "!!float 1e-4", "100e-6"])
def test_every_spelling_of_a_number_is_that_number(load: Any, number: str) -> None:
    options = load(MINIMAL, f"stages: [{{name: a, total_iter: 1, pixel_opt: {{}}, optim_g: {{lr: {number}}}}}]")
    assert options.stages[0].optim_g == {"lr": 1e-4}


def test_train_network_d_and_datasets_at_the_top_are_every_stages_defaults(load: Any) -> None:
    adversarial = {"gan_opt": {"type": "GANLoss"}, "optim_d": {"type": "Adam"}}
    options = load(
        changed(
            network_d={"type": "UNetDiscriminatorSN", "num_feat": 64, "num_in_ch": 3},
            train={"optim_g": {"type": "Adam", "lr": 1e-4, "betas": [0.9, 0.99]}, "ema_decay": 0.5, **adversarial},
            stages=[
                {"name": "a", "total_iter": 1, "network_d": {"num_feat": 8}, "optim_g": {"lr": 1e-5}},
                {"name": "b", "total_iter": 1, "optim_g": {"type": "SGD"}, "datasets": {"train": {"batch_size": 7}}},
                {"name": "c", "total_iter": 1, "datasets": {"train": {"type": "PairedDataset", "dataroot_lq": "x"}}},
                {"name": "d", "total_iter": 1, "network_d": None, "gan_opt": None, "optim_d": None, "pixel_opt": {}},
            ],
        )
    )
    a, b, c, d = options.stages
    assert a.network_d == {"type": "UNetDiscriminatorSN", "num_feat": 8, "num_in_ch": 3}
    assert a.optim_g == {"type": "Adam", "lr": 1e-5, "betas": [0.9, 0.99]}
    assert b.optim_g == {"type": "SGD"}, "another type has other keys"
    assert b.ema_decay == 0.5
    assert (b.train_data.batch_size, b.train_data.dataset) == (7, options.datasets.train.dataset)
    assert (c.train_data.batch_size, c.train_data.dataset) == (2, {"type": "PairedDataset", "dataroot_lq": "x"})
    assert (d.network_d, d.gan_opt, d.optim_d) == (None, None, None)


def test_without_stages_the_top_level_train_is_the_one_stage(load: Any) -> None:
    one = load(changed(stages=None, train={"total_iter": 9, "optim_g": {"type": "Adam"}, "pixel_opt": {}}))
    assert [(stage.name, stage.total_iter) for stage in one.stages] == [("train", 9)]
    two = load(
        changed(stages=[{"name": "train"}], train={"total_iter": 9, "optim_g": {"type": "Adam"}, "pixel_opt": {}})
    )
    assert one == two


def test_a_later_file_is_merged_over_an_earlier_one_and_overrides_come_last(load: Any) -> None:
    later = {"manual_seed": 5, "network_g": {"encoder": {"num_feat": 8}}, "datasets": {"train": {"type": "Other"}}}
    options = load(
        MINIMAL, later, overrides=("manual_seed=6", "stages.1.optim_g.lr=3", "compare.scales=[2]", "val.every=1")
    )
    assert options.manual_seed == 6
    assert options.network_g == {"type": "CiaoSR", "encoder": {"type": "EDSREncoder", "num_feat": 8}}
    assert (options.datasets.train.batch_size, options.datasets.train.dataset) == (2, {"type": "Other"})
    assert [stage.optim_g["lr"] for stage in options.stages] == [1e-4, 3]
    assert options.compare is not None
    assert options.compare.scales == (2.0,)
    assert options.val.every == 1


def test_an_override_reaches_into_a_spec_and_into_what_is_not_there_yet(load: Any) -> None:
    overrides = (
        "network_g.decoder.hidden=[64, 64]",
        "stages.0.scheduler.type=CosineAnnealingLR",
        "name=a=b".replace("=b", "b"),
    )
    options = load(MINIMAL, overrides=overrides)
    assert options.network_g["decoder"] == {"hidden": [64, 64]}
    assert options.stages[0].scheduler == {"type": "CosineAnnealingLR"}
    assert options.name == "ab"


def test_anchors_and_merge_keys_are_plain_yaml(load: Any) -> None:
    text = yaml.safe_dump(changed(stages=None), sort_keys=False) + (
        "stages:\n"
        "  - &base {name: a, total_iter: 1, optim_g: &adam {type: Adam, lr: 1}, pixel_opt: {type: L1Loss}}\n"
        "  - {<<: *base, name: b, optim_g: {<<: *adam, lr: 2}}\n"
        "  - {<<: [{name: c}, *base]}\n"
    )
    a, b, c = load(text).stages
    assert b == msgspec.structs.replace(a, name="b", optim_g={"type": "Adam", "lr": 2})
    assert c == msgspec.structs.replace(a, name="c")


@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=4))
@SMALL
def test_stage_at_counts_as_a_loop_over_all_steps_does(load: Any, steps: list[int]) -> None:
    stages = [{**MINIMAL["stages"][0], "name": f"s{i}", "total_iter": n} for i, n in enumerate(steps)]
    options = load(changed(stages=stages))
    assert options.total_iter == sum(steps)
    flat = [(i, sum(steps[:i])) for i, n in enumerate(steps) for _ in range(n)]
    for step, (i, first) in enumerate([*flat, flat[-1]]):
        assert options.stage_at(step) == (i, options.stages[i], first)


WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.sampled_from(["1e-4", "1:30", "~"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)


@given(
    extra=st.dictionaries(WORDS, PLAIN, max_size=4),
    scales=st.lists(st.floats(1, 30), min_size=1, max_size=3),
    usm=st.booleans(),
)
@example(extra={"lr": "1e-4", "yes": "no", "": "0x1f", "date": "2026-11-22", "<<": "="}, scales=[1e-1 + 1], usm=True)
@SMALL
def test_loading_a_dump_gives_equal_options(load: Any, extra: dict[str, Any], scales: list[float], usm: bool) -> None:
    stages = [{**MINIMAL["stages"][0], "optim_g": extra, "l1_gt_usm": usm}, MINIMAL["stages"][1]]
    options = load(
        # JSON is YAML in which nothing is left to guess, so it judges our reading
        json.dumps(changed(network_g=extra, stages=stages, compare={"image": "x.png", "scales": scales}))
    )
    assert options.network_g == extra
    assert load(dump_options(options)) == options


# What is wrong with a file


def sections(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all keys that belong to a fixed structure and not to a spec."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = []
    for key, value in items:
        if "type" not in data or key in ("name", "batch_size"):
            found += [(*path, key)] if isinstance(key, str) else []
            found += sections(value, (*path, key))
    return found


KEYS = [path for path in sections(MINIMAL)]
REQUIRED = [
    path
    for path in KEYS
    if path[-1] in ("name", "datasets", "train", "batch_size", "network_g", "stages", "total_iter", "image")
]
TEXT = yaml.safe_dump(MINIMAL, sort_keys=False)


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def line_of(data: dict[str, Any], path: tuple[Any, ...]) -> int:
    """The line on which the value at `path` starts in the text of `data`, found by writing a marker there."""
    marked = copy.deepcopy(data)
    parent = at(marked, path[:-1])
    if isinstance(parent, dict):
        items = list(parent.items())
        parent.clear()
        parent.update({("MARK" if key == path[-1] else key): value for key, value in items})
    else:
        parent[path[-1]] = {"MARK": 0, **parent[path[-1]]}
    lines = yaml.safe_dump(marked, sort_keys=False).splitlines()
    return 1 + next(i for i, line in enumerate(lines) if "MARK" in line)


@pytest.mark.parametrize("path", REQUIRED, ids=lambda path: ".".join(map(str, path)))
def test_a_dropped_key_is_reported_under_its_path_at_its_parents_line(complaint: Any, path: tuple[Any, ...]) -> None:
    data = copy.deepcopy(MINIMAL)
    del at(data, path[:-1])[path[-1]]
    line = line_of(data, path[:-1]) if path[:-1] else 1
    assert complaint(data) == f"0.yml:{line}: {'.'.join(map(str, path))}: is missing"


@given(
    path=st.sampled_from(KEYS),
    position=st.integers(1, 100),
    letter=st.sampled_from("aeiostx"),
    kind=st.sampled_from("drsi"),
)
@example(path=("datasets", "train", "batch_size"), position=7, letter="s", kind="r")
@SMALL
def test_a_misspelt_key_is_reported_at_its_own_line_with_the_right_name(
    complaint: Any, path: tuple[Any, ...], position: int, letter: str, kind: str
) -> None:
    key = path[-1]
    at_letter = 1 + position % (len(key) - 1)
    head, tail = key[:at_letter], key[at_letter:]
    # dropped, replaced, swapped with its neighbour, or inserted
    wrong = (
        head + {"d": tail[1:], "r": letter + tail[1:], "s": tail[1:2] + tail[:1] + tail[2:], "i": letter + tail}[kind]
    )
    data = copy.deepcopy(MINIMAL)
    parent = at(data, path[:-1])
    if wrong in parent or wrong == key or (len(key) < 5 and "type" in parent):
        return  # another key, no slip, or too short to be told from the dataset's own keys
    items = list(parent.items())
    parent.clear()
    parent.update({(wrong if name == key else name): value for name, value in items})
    shown = complaint(data)
    where = ".".join(map(str, (*path[:-1], wrong)))
    start = f"0.yml:{line_of(data, (*path[:-1], wrong))}: {where}: unknown key"
    known = f"; did you mean '{key}'?"
    assert shown == start + known or (len(key) < 6 and shown.startswith(start))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stages.0.total_iter=abc", "stages.0.total_iter: expected int, got 'abc'"),
        ("stages.0.total_iter=0", "stages.0.total_iter: expected int >= 1, got 0"),
        ("stages.0.total_iter=1.5", "stages.0.total_iter: expected int, got 1.5"),
        ("stages.0.total_iter=true", "stages.0.total_iter: expected int, got True"),
        ("stages.0.total_iter=", "stages.0.total_iter: expected int, got null"),
        ("stages.0.ema_decay=1", "stages.0.ema_decay: expected float < 1.0, got 1"),
        ("stages.0.ema_decay=.nan", "stages.0.ema_decay: expected a finite number, got nan"),
        ("stages.0.optim_g=Adam", "stages.0.optim_g: expected mapping, got 'Adam'"),
        ("stages.0.l1_gt_usm=1", "stages.0.l1_gt_usm: expected bool, got 1"),
        ("stages.0.datasets.val=1", "stages.0.datasets.val: unknown key; in a stage, datasets holds train alone"),
        ("stages.0.datasets.train.batch_size=x", "stages.0.datasets.train.batch_size: expected int, got 'x'"),
        ("stages.2.total_iter=1", "stages: has 2 items, numbered from 0; no '2'"),
        ("stages.psnr.total_iter=1", "stages: has 2 items, numbered from 0; no 'psnr'"),
        ("stages={a: 1}", "stages: expected list, got {'a': 1}"),
        ("stages=[]", "stages: expected list of length >= 1, got []"),
        ("stages.1.name=psnr", "stages.1.name: 'psnr' is taken by item 0"),
        ("name.x=1", "name: is 'tiny' and has no key 'x'"),
        ("name=7", "name: expected str, got 7"),
        ("trian.total_iter=1", "trian: unknown key; did you mean 'train'?"),
        ("train=1", "train: expected a mapping, got 1"),
        ("train.optmi_g.lr=1", "train.optmi_g: unknown key; did you mean 'optim_g'?"),
        ("datasets.train.batch_sise=1", "datasets.train.batch_sise: unknown key; did you mean 'batch_size'?"),
        ("datasets.train.num_worker=1", "datasets.train.num_worker: unknown key; did you mean 'num_workers'?"),
        ("datasets.val=builtin", "datasets.val: expected list, got 'builtin'"),
        ("val.metrics=psnr", "val.metrics: expected list, got 'psnr'"),
        ("scale_range=[4, 1]", "scale_range: expected 1 <= low <= high <= 30, got [4, 1]"),
        ("scale_range=[.nan, 1]", "scale_range.0: expected a finite number, got nan"),
        ("scale_range=[1, 2, 3]", "scale_range: expected list of length 2, got [1, 2, 3]"),
        ("compare.scales=[2, x]", "compare.scales.1: expected float, got 'x'"),
        ("manual_seed", "expected KEY.PATH=VALUE, e.g. stages.0.total_iter=20"),
        ("a..b=1", "expected KEY.PATH=VALUE, e.g. stages.0.total_iter=20"),
        ("val.metrics=[psnr", "not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_a_wrong_override_is_one_line_with_the_override_as_its_place(
    complaint: Any, override: str, expected: str
) -> None:
    assert complaint(MINIMAL, overrides=(override,)) == f"--set {override}: {expected}"


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "a\\b", "/etc", "a\n", "-x"])
def test_a_name_that_would_leave_its_folder_is_refused(complaint: Any, name: str) -> None:
    assert complaint(changed(name=name)).startswith("0.yml:1: name: expected letters, digits")


@pytest.mark.parametrize(
    "present", [{"network_d"}, {"gan_opt"}, {"optim_d"}, {"network_d", "gan_opt"}, {"gan_opt", "optim_d"}]
)
def test_a_stage_with_half_an_adversary_is_refused(complaint: Any, present: set[str]) -> None:
    stage = {**MINIMAL["stages"][0], **{key: {"type": "X"} for key in sorted(present)}}
    line = complaint(changed(stages=[stage]))
    assert ": is missing; " in line
    assert all(key in line for key in present)


def test_a_stage_that_minimises_nothing_is_refused(complaint: Any) -> None:
    stage = {**MINIMAL["stages"][0], "pixel_opt": None}
    assert "stages.0: needs at least one of pixel_opt" in complaint(changed(stages=[stage]))


def test_a_file_with_neither_stages_nor_train_says_that_stages_are_missing(complaint: Any) -> None:
    assert complaint(changed(stages=None)) == "0.yml:1: stages: is missing"
    assert complaint(changed(stages=None, train={"optim_g": {}})).endswith(": train.total_iter: is missing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "0.yml: is empty"),
        ("# only words\n", "0.yml: is empty"),
        ("- a\n", "0.yml:1: expected a mapping of options"),
        ("just words", "0.yml:1: expected a mapping of options"),
        ("name: a\nval: {every: 1\n", "0.yml:3: not valid YAML: expected ',' or '}', but got '<stream end>'"),
        ("name: a\n\tval: 1\n", "0.yml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("name: a\n---\nname: b\n", "0.yml:2: not valid YAML: but found another document"),
        ("name: a\nx: *no\n", "0.yml:2: not valid YAML: found undefined alias 'no'"),
        ("name: a\nval: 1\n\nval: 2\n", "0.yml:4: val: given twice, first at 0.yml:2"),
        ("a: {b: [{c: 1, d: 2,\n c: 3}]}\n", "0.yml:2: a.b.0.c: given twice, first at 0.yml:1"),
        ("name: a\n1: b\n", "0.yml:2: expected a word as key, got 1; quote it if it is one"),
        ("name: a\nval: {on: b}\n", "0.yml:2: val: expected a word as key, got True; quote it if it is one"),
        ("name: a\n? [b]\n: c\n", "0.yml:2: tag:yaml.org,2002:seq does not belong here: options are plain YAML"),
        (
            "name: a\nval: !!set {b}\n",
            "0.yml:2: val: tag:yaml.org,2002:set does not belong here: options are plain YAML",
        ),
        ("name: a\nval: !!int b\n", "0.yml:2: val: 'b' is not a valid int"),
        ("name: a\nval: !!bool b\n", "0.yml:2: val: 'b' is not a valid bool"),
        ("name: a\nval: 2026-13-45\n", "0.yml:2: val: '2026-13-45' is not a valid timestamp"),
        ("name: a\nval: {<<: 3}\n", "0.yml:2: val: << takes a mapping, usually an alias such as *base"),
        ("a: &x [*x]\n", "0.yml:1: nested too deeply (an alias inside its own anchor?)"),
        ("name: a\x07\n", "0.yml:1: not valid YAML: special characters are not allowed (#x07)"),
    ],
)
def test_a_text_that_is_not_a_mapping_in_plain_yaml_is_one_line(complaint: Any, text: str, expected: str) -> None:
    assert complaint(text) == expected


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [x]", "!!python/name:os.system", "!!python/object:a.b {}"]
)
def test_no_python_object_is_ever_made(complaint: Any, tag: str) -> None:
    line = complaint(f"name: a\nval: {tag}\n")
    assert line.startswith("0.yml:2: ")
    assert "python/" in line


def test_a_file_that_cannot_be_read_is_one_line_naming_it(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yml").write_bytes(b"name: caf\xe9\n")
    for path, expected in [
        (tmp_path / "quikstart.yml", "no such file; did you mean 'quickstart.yml'?"),
        (tmp_path / "nowhere" / "a.yml", "no such file"),
        (tmp_path, "cannot be read: is a directory"),
        (tmp_path / "quickstart.yml", "is not UTF-8 text (byte 9)"),
    ]:
        with pytest.raises(OptionError) as caught:
            load_options([path])
        assert str(caught.value) == f"{path}: {expected}"


def test_an_error_in_a_shared_default_names_the_place_where_it_was_written(complaint: Any) -> None:
    shared = "train:\n  ema_decay: 2\n"
    assert complaint(MINIMAL, shared) == "1.yml:2: train.ema_decay: expected float < 1.0, got 2"


def test_locate_names_the_deepest_line_that_exists(load: Any, folder: Path) -> None:
    text = (
        "network_d: {type: UNetDiscriminatorSN,\n"
        "  num_fea: 3}\n"
        "stages:\n"
        "- {name: a, total_iter: 1, pixel_opt: {}, optim_g: {type: Adam}, optim_d: {}, gan_opt: {}}\n"
        "- {name: b, total_iter: 1, pixel_opt: {}, optim_g: {type: Adam}, optim_d: {}, gan_opt: {},\n"
        "   datasets: {train: {gt_size: 3}}}\n"
    )
    options = load(changed(stages=None, network_d=None), text, overrides=("stages.0.optim_d.lr=1",))
    for path, place in {
        "stages.0.network_d.num_fea": f"{folder / '1.yml'}:2: ",
        "stages.1.network_d.num_feat": f"{folder / '1.yml'}:1: ",
        "stages.1.optim_g.lr": f"{folder / '1.yml'}:5: ",
        "stages.0.optim_d.lr": "--set stages.0.optim_d.lr=1: ",
        "stages.0.optim_d": f"{folder / '1.yml'}:4: ",
        "stages.1.datasets.train.gt_size": f"{folder / '1.yml'}:6: ",
        "stages.1.datasets.train.dataroot_gt": f"{folder / '0.yml'}:5: ",
        "stages.7.name": f"{folder / '1.yml'}:3: ",
        "datasets.val.0.gt_size": f"{folder / '0.yml'}:8: ",
        "network_g.encoder.num_feat": f"{folder / '0.yml'}:14: ",
        "": f"{folder / '1.yml'}:1: ",
    }.items():
        assert options.locate(path) == place, path


def test_loading_options_imports_nothing_heavy() -> None:
    code = "import sys, realciao.options.run; print(*[m for m in ('torch', 'numpy', 'cv2', 'basicsr') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
