"""docs/training.md against the code: its option files and schedules are there, its sums are right."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import init_empty_weights

from realciao.archs import build_network
from realciao.metrics import build_metric  # noqa: F401  (imports what fills the registries)
from realciao.options.run import load_options
from realciao.registry import ARCH_REGISTRY, build
from realciao.training.optim import build_scheduler
from realciao.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The rows, without the title row, of a section's table."""
    section = re.split(rf"^#+ {re.escape(heading)}\n", PAGE, flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, flags=re.MULTILINE)[0]
    lines = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[number].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_option_file_is_in_the_table_of_recipes() -> None:
    named = set()
    for row in table("Recipes"):
        files = re.findall(r"`([\w.]+)`", row[0])
        stem = files[0].removesuffix("_edsr.yml")
        named |= {f if f.endswith(".yml") else f"{stem}{f}.yml" for f in files}
    assert named == {path.name for path in (ROOT / "options").glob("[!e]*.yml")}


def test_the_example_of_a_base_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.yml").write_text(block.replace("base: ", f"base: {ROOT / 'options'}/"))
    options = load_options([tmp_path / "mine.yml"])
    assert options.name == "mine"
    assert options.network_g["decoder"]["non_local_scales"] == [2, 3]
    assert options.stages[0].total_iter == 1_000_000


@pytest.mark.parametrize("row", table("Schedules")[1:], ids=lambda row: row[0][:30])
def test_every_schedule_is_built(row: list[str]) -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    spec = yaml.safe_load(row[0].strip("`"))
    scheduler = build_scheduler(spec, "scheduler", optimizer, 1000)
    assert type(scheduler).__name__ == spec["type"] if isinstance(spec, dict) else scheduler.get_last_lr() == [1e-3]


def test_the_bytes_are_those_of_the_networks() -> None:
    for name, parameters, gradients, *sent in table("What goes over the wire"):
        options = load_options([ROOT / "options" / re.findall(r"`(.*?)`", name)[0]])
        network_d = options.stages[-1].network_d
        with init_empty_weights():
            networks = [build_network(options.network_g)] + ([build(ARCH_REGISTRY, network_d)] if network_d else [])
        count = sum(p.numel() for network in networks for p in network.parameters())
        assert parameters == f"{count / 1e6:.2f} M"
        assert gradients == f"{4 * count / 1e6:.1f} MB"
        assert sent == [f"{4 * count * 2 * (n - 1) / n / 1e6:.1f} MB" for n in (2, 8, 16)]


def test_the_efficiencies_follow_from_the_bytes() -> None:
    sent = float(table("What goes over the wire")[-1][-1].split()[0]) * 1e6
    for _, bandwidth, *efficiencies in table("What goes over the wire", 1):
        waits = sent / (float(bandwidth.split()[0]) * 1e9)
        assert efficiencies == [f"{100 * t / (t + waits):.0f} %" for t in (0.1, 0.3, 1)]


def test_what_fsdp_would_save_is_right() -> None:
    largest = float(table("What goes over the wire")[2][1].split()[0])
    assert f"that is {16 * largest:.0f} MB" in PAGE
    assert f"would save {16 * largest * 7 / 8:.0f} MB" in PAGE


def test_every_file_of_a_run_is_named() -> None:
    named = "".join(row[0] for row in table("What a run writes"))
    run = RunFolder(load_options([ROOT / "options" / "quickstart.yml"]))
    for path in (v for v in vars(run).values() if isinstance(v, Path) and v != run.root):
        assert path.name in named


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            anchors = [h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)]
            assert target[1:] in anchors
        else:
            assert (ROOT / "docs" / target).exists()
