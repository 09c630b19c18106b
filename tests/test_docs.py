"""docs/network.md against the code: its tables are counted, its option blocks built, its Python files run."""

import inspect
import re
import types
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from plain_ciaosr import plain_query
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from realciao.archs import build_network
from realciao.archs.cells import axis_cells
from realciao.archs.ciaosr_arch import CiaoSR
from realciao.archs.decoders.ciaosr import CiaoSRDecoder
from realciao.coords import make_axis, make_cell, make_coord
from realciao.options.run import load_options
from realciao.registry import ARCH_REGISTRY, build

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "network.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The rows, without the title row, of a section's table."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[number].splitlines()][2:]


def spec(cell: str) -> dict[str, Any]:
    return yaml.safe_load(cell.strip("`"))


def integer(cell: str) -> int | None:
    return None if cell == "none" else int(cell.replace(",", ""))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def encoder(text: str) -> Any:
    return build(ARCH_REGISTRY, spec(text))


def decoder(text: str, encoder_text: str = "{type: EDSREncoder}") -> Any:
    return build(ARCH_REGISTRY, spec(text), feat_dim=encoder(encoder_text).out_dim)


@pytest.mark.parametrize("row", table("Encoders"), ids=lambda row: row[0].strip("`{}"))
def test_the_table_of_encoders_says_what_they_are(row: list[str]) -> None:
    found = encoder(row[0])
    assert [found.out_dim, count(found), found.multiple, found.reach_px] == [integer(cell) for cell in row[1:]]


@pytest.mark.parametrize("row", table("Decoders"), ids=lambda row: row[0].strip("`{}"))
def test_the_table_of_decoders_says_what_they_are(row: list[str]) -> None:
    found, behind = decoder(row[0]), encoder("{type: EDSREncoder}")
    assert [count(found), count(found) + count(behind), found.reach_px] == [integer(cell) for cell in row[1:]]


def test_the_table_of_whole_networks_counts_both_parts() -> None:
    section = PAGE.split("\n## Option blocks for the paper's tables\n")[1]
    titles = [cell.strip() for cell in next(line for line in section.splitlines() if "|" in line).strip("|").split("|")]
    for row in table("Option blocks for the paper's tables"):
        for behind, cell in zip(titles[1:], row[1:], strict=True):
            assert count(decoder(row[0], behind)) + count(encoder(behind)) == integer(cell), (row[0], behind)


@pytest.mark.parametrize(("number", "described"), [(0, CiaoSRDecoder), (1, CiaoSR)])
def test_the_tables_of_options_name_each_with_its_default(number: int, described: type) -> None:
    parameters = inspect.signature(described).parameters
    given_otherwise = ("feat_dim", "encoder", "decoder")
    defaults = {name: p.default for name, p in parameters.items() if name not in given_otherwise}
    told = {row[0].strip("`"): yaml.safe_load(row[1]) for row in table("Options", number)}
    assert told == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


@pytest.mark.parametrize("row", table("Starting from trained weights"), ids=lambda row: row[0])
def test_the_encoders_of_trained_weights_can_be_built(row: list[str]) -> None:
    small = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    settings = {"rgb_mean": yaml.safe_load(row[2]), "rgb_std": yaml.safe_load(row[3])}
    net: Any = build_network({"type": "CiaoSR", "encoder": spec(row[1]), "decoder": small, **settings})
    assert net.mean.shape == net.std.shape == (1, 3, 1, 1)


def test_every_option_block_is_a_network_or_a_whole_run(own_classes: None, tmp_path: Path) -> None:
    texts = blocks("yaml")
    assert len(texts) == 15
    for text in texts:
        options = yaml.safe_load(text)
        if "datasets" in options:
            (tmp_path / "run.yml").write_text(text, encoding="utf-8")
            options = {"network_g": load_options([tmp_path / "run.yml"]).network_g}
        assert list(options) == ["network_g"]
        net: Any = build_network(options["network_g"])
        assert net.spec["decoder"]["type"] == options["network_g"]["decoder"]["type"]


@pytest.mark.parametrize("row", table("The two neighbour rules"), ids=lambda row: f"x{row[0]}")
def test_the_table_of_neighbour_rules_is_what_the_queries_read(row: list[str]) -> None:
    n, scale = 48, float(row[0])
    n_out = round(n * scale)
    cell = torch.tensor([2 / n_out])
    published, liif = (axis_cells(make_axis(n_out)[None], cell, n, rule, 2) for rule in ("published", "liif"))
    shift = (n - 2 / scale) / (2 * (n - 1))
    assert shift == pytest.approx(float((1 - cell) / (n - 1) * n / 2), rel=1e-5)
    skipped = [(cells.neighbour != cells.nearest).all(dim=0) for cells in (published, liif)]
    others = (published.neighbour != liif.neighbour).any(dim=0)
    shares = [f"{100 * part.float().mean():.1f} %" for part in (*skipped, others)]
    assert [f"{shift:.3f}", "0.5", *shares] == row[1:]


def multiplications(function: Any, *inputs: Any) -> float:
    """Those of matrix products and convolutions, by torch's counter, which sees no in-place and no elementwise products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops() / 2


def test_the_table_of_costs_is_what_torch_counts() -> None:
    symbols = {"D": 256, "L": 4, "U": 9 * 64, "V": 10 * 64}
    rows = table("How it is computed")
    for _, plain, plain_count, ours, our_count in rows:
        for formula, number in ((plain, plain_count), (ours, our_count)):
            assert eval(formula.strip("`"), symbols.copy()) == integer(number)
    n, scale = 8, 4
    net = decoder("{type: CiaoSRDecoder}")
    local = decoder("{type: CiaoSRDecoder, non_local_scales: []}")
    feat, size = torch.randn(1, 64, n, n), (n * scale, n * scale)
    prepared = net.prepare(feat, feat[:, :3], (0, 0, n, n), dense=True)
    ys, xs, cell = make_axis(size[0]), make_axis(size[1]), make_cell(size)[None]
    counted = multiplications(net.query_grid, prepared, ys, xs, cell) / (size[0] * size[1])
    *query, per_lr = [integer(row[4]) or 0 for row in rows]
    in_place, logit, value = 2 * 4 * 4 * 256, 4 * 256, 4 * (256 + 640)  # rel and s; the product; weight and gate
    unseen = in_place + logit + value
    assert counted == sum(query) - unseen + per_lr / scale**2
    coord = make_coord(size).view(1, -1, 2)[:, :10]
    plain = multiplications(plain_query, local, feat, coord, cell) / 10
    symbols["V"] = symbols["U"]  # the plain way computes the non-local features too, whose cost is not in the table
    formulas = sum(eval(row[1].strip("`"), symbols.copy()) for row in rows)
    assert plain == formulas - 4 * 2 * symbols["U"] - 4 * 2 * symbols["V"]


def test_the_tables_of_a_band_are_as_large_as_the_page_says() -> None:
    net = decoder("{type: CiaoSRDecoder}")
    prepared = net.prepare(torch.randn(1, 64, 4, 4), None, (0, 0, 4, 4), dense=True)
    rows = net.locate(prepared, 0, make_axis(16)[None], torch.tensor([2 / 16]))
    tables = net.narrow(prepared, rows)[0].tables
    assert sum(part.numel() for part in tables) == 4 * 4 * 2437
    assert "2,437 floats" in PAGE


@pytest.fixture
def own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's Python files, as modules whose classes are registered for the length of a test."""
    own = re.findall(r"register\(\)\nclass (\w+)", PAGE)  # a reader may have made the files
    others = {name: cls for name, cls in ARCH_REGISTRY._obj_map.items() if name not in own}
    monkeypatch.setattr(ARCH_REGISTRY, "_obj_map", others)
    for number, text in enumerate(block for block in blocks("python") if "@ARCH_REGISTRY.register()" in block):
        exec(compile(text, f"docs/network.md:{number}", "exec"), types.ModuleType(f"page_{number}").__dict__)


def test_the_pages_own_encoder_and_decoder_make_a_network_whose_tiles_are_the_whole(own_classes: None) -> None:
    torch.manual_seed(0)
    (text,) = [text for text in blocks("yaml") if "DilatedEncoder" in text]
    net: Any = build_network(yaml.safe_load(text)["network_g"]).double().eval()
    net.res = False  # it reads coordinates in float32
    lq = torch.rand(1, 3, 40, 23, dtype=torch.float64)
    whole = net.upscale(lq, (92, 50))
    reach, ys, xs = net.reach_px, make_axis(92)[46:58], make_axis(50)
    assert reach == 8
    tile = net.prepare(lq[:, :, 20 - reach : 26 + reach], frame=(20 - reach, 0, 40, 23))
    part = net.query_grid(tile, ys, xs, make_cell((92, 50))[None]).clamp(0, 1)
    torch.testing.assert_close(part, whole[:, :, 46:58], rtol=0, atol=1e-12)
    less = net.prepare(lq[:, :, 21 - reach : 26 + reach], frame=(21 - reach, 0, 40, 23))
    other = net.query_grid(less, ys, xs, make_cell((92, 50))[None])
    assert (other - whole[:, :, 46:58]).abs().max() > 1e-6


def test_every_link_within_the_page_and_every_file_that_it_names_is_there() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", PAGE)
    assert all((ROOT / "docs" / picture).is_file() for picture in pictures)
    assert pictures
    for name in re.findall(r"(?:tests|scripts|options)/\w+\.(?:py|yml)", PAGE):
        assert (ROOT / name).is_file() or name == "scripts/benchmark.py", name
