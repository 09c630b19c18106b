"""The decoder's benchmark: what it counts and computes, against closed forms; and a run of all of it on tiny images."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from realciao.benchmarks.decoder import gemm, macs, memory, scaling, speed, training
from realciao.benchmarks.decoder.counting import count, count_ours, shapes
from realciao.benchmarks.decoder.extrapolation import extrapolate
from realciao.benchmarks.decoder.ways import Case, make_image, make_net, ours, plain_baseline, plain_ciaosr
from realciao.benchmarks.instruments.laps import Laps, clock
from realciao.benchmarks.instruments.macs import MacCounter
from realciao.benchmarks.instruments.targets import Target, judge
from realciao.commands.benchmark import build_parser, main
from realciao.machine.memory import peak_bytes

CASE = Case(4, 2)


def arguments(*given: str) -> argparse.Namespace:
    args = build_parser().parse_args(["decoder", "--encoders", "edsr", "--clock", "cpu", *given])
    return args


def shrink_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SIDE", 8)
    monkeypatch.setattr(training, "QUERIES", 50)


def plain_macs(net: Any, case: Case) -> Any:
    lq = make_image(arguments(), case.side)
    return count(lambda laps: plain_ciaosr(net, lq, case, laps, hoist_non_local=True, chunks=case.chunks))


def test_the_plain_decoder_takes_the_papers_multiply_accumulates() -> None:
    counted = plain_macs(make_net(arguments(), "edsr"), CASE)
    imnet_k, imnet_v, imnet_q = 1_970_176, 2_101_248, 361_216
    assert counted.queries == 64 * (imnet_k + imnet_v + imnet_q)
    assert counted.tables == 0
    # query, key and value gates, four cells, and the weighted sum; and a few for offsets and scales
    gates = 4 * (2 * 576 + 2 * 640)
    assert 64 * gates <= counted.elementwise < 64 * (gates + 50)


def test_the_encoder_and_the_published_attention_take_what_their_layers_do() -> None:
    net = make_net(arguments(), "edsr")
    counted = plain_macs(net, CASE)
    weights = sum(p.numel() for name, p in net.encoder.named_parameters() if name.endswith("weight"))
    assert counted.encoder == 16 * weights
    pairs = 16 * 4
    embeddings = 16 * 64 * 64 + 16 * 64 * 32 + 4 * 64 * 32
    down = 16 * 9 * 64 * 64
    assert counted.non_local == pairs * (288 + 2304) + embeddings + down


def test_ours_takes_what_the_queries_cannot_share_and_its_tables() -> None:
    net = make_net(arguments(), "edsr", non_local_scales=[])
    counted = count_ours(net, make_image(arguments(), 4), CASE)
    floor = macs.floor(net.decoder)
    assert floor == 4 * (6 * 256**2 + 256 * 576) + 576 * 256 + 3 * 256**2 + 256 * 3
    assert floor <= counted.queries / 64 < 1.01 * floor
    assert 0 < counted.tables < 64 * floor


def test_no_product_escapes_the_count() -> None:
    used: set[Any] = set()
    counter = MacCounter()

    class Note(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if not counter.knows(func.overloadpacket):  # what is made of others counts as they do
                with self:
                    parts = func.decompose(*args, **(kwargs or {}))
                if parts is not NotImplemented:
                    return parts
            used.add(func.overloadpacket)
            return func(*args, **(kwargs or {}))

    args = arguments()
    lq = make_image(args, 4)
    for name in ("LIIF", "LTE", "CiaoSR"):
        net = make_net(args, "edsr", name)
        with Note():
            ours(net, lq, CASE, Laps(clock(lq.device)))
            if name == "CiaoSR":
                plain_ciaosr(net, lq, CASE, Laps(clock(lq.device)), hoist_non_local=False, chunks=1)
            else:
                plain_baseline(name.lower(), net, lq, CASE, Laps(clock(lq.device)))
    words = ("mm", "mv", "dot", "linear", "conv", "attention", "mul")
    products = {op for op in used if any(word in str(op) for word in words)}
    assert {torch.ops.aten.addmm, torch.ops.aten.addmm_, torch.ops.aten.convolution} <= products
    assert [op for op in products if not counter.knows(op)] == []


def test_the_products_of_a_band_are_those_of_the_queries() -> None:
    net = make_net(arguments(), "edsr", non_local_scales=[])
    lq = make_image(arguments(), 4)
    listed = sum(gemm.macs(shape) * times for shape, times in shapes(net, lq, CASE).items())
    assert listed == count_ours(net, lq, CASE).queries


def test_the_time_of_all_products_is_the_sum_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gemm, "_seconds", lambda shape, meter, like: torch.tensor([1.0, 2.0]).numpy() * gemm.macs(shape)
    )
    listed = {(8, 4, 4): 10, (2, 2, 2): 1}  # the second is too little to be measured
    laps = gemm.measure(listed, clock(torch.device("cpu")), torch.zeros(1))
    assert laps.spent["shapes"].tolist() == pytest.approx([1288, 2576])


@pytest.mark.parametrize(("hoisted", "passes"), [(False, 5), (True, 1)])
def test_two_chunks_tell_the_time_of_all(hoisted: bool, passes: int) -> None:
    encoder, non_local, query = 7.0, 3.0, 0.01
    run = encoder, non_local * min(passes, 2), query * 200
    told = extrapolate(*run, timed=2, queries=450, chunk=100, hoisted=hoisted)
    assert told == pytest.approx(encoder + passes * non_local + 450 * query)


def test_of_an_image_of_one_chunk_nothing_is_extrapolated() -> None:
    assert extrapolate(7, 3, 2, timed=1, queries=60, chunk=100) == pytest.approx(12)


def test_the_published_way_does_two_chunks_of_large_images_and_all_of_small_ones() -> None:
    args = arguments("--plain_chunks", "4")
    assert speed._chunks(args, Case(192, 4)) == {"plain": 4, "published": 2}
    assert speed._chunks(args, Case(48, 8)) == {"plain": 4, "published": 5, "rule": 2}
    assert speed._chunks(args, Case(48, 2)) == {"plain": 1, "published": 1}
    assert Case(192, 4).chunks == 20


def test_targets_stand_beside_what_was_reached() -> None:
    targets = [Target({"LR": 96}, "ratio", 2.0, goal=3.0), Target({"LR": 96}, "error", 0.1, at_least=False)]
    rows = [{"LR": 96, "ratio": 2.5, "error": 0.2}, {"LR": 48, "ratio": 1.0, "error": 0.0}]
    judged = judge(targets, rows)
    assert [(row["reached"], row["asked"], row["met"]) for row in judged] == [
        (2.5, ">= 2", True),
        (0.2, "<= 0.1", False),
    ]
    assert judge(targets, rows[1:]) == []


def test_the_differences_of_gradients_are_relative() -> None:
    plain = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1e-6])}
    ours_ = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([2e-6])}
    assert training.worst_difference(ours_, plain) == pytest.approx(1)
    assert training.whole_difference(ours_, plain) == pytest.approx(1e-6 / 5)


def test_a_training_step_gives_both_ways_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_training(monkeypatch)
    assert training._exact_difference(arguments("--batch", "1"), "edsr") < 1e-9


def test_sizes_follow_from_output_megapixels() -> None:
    assert [case.side for case in scaling.cases(arguments("--mpx", "0.25", "16"))] == [125, 1000]


def test_the_memory_formula_bounds_a_small_image() -> None:
    args = arguments()
    peak = peak_bytes(memory._prepare, args, "edsr", "off", 20, False)
    net = make_net(args, "edsr", non_local_scales=[])
    tables = 4 * 400 * (576 + 7 * 256)  # without which nothing is decoded
    assert tables < peak <= memory.formula(net, Case(20, memory.SCALE), threads=1)


def test_a_device_that_is_not_there_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["decoder", "--device", "nowhere"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: --device nowhere: cannot be used")


def test_the_whole_benchmark_runs_on_tiny_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shrink_training(monkeypatch)
    monkeypatch.setattr(gemm, "MIN_SECONDS", 0.001)
    monkeypatch.setattr(training, "peak_bytes", lambda *_: 2**20)
    monkeypatch.setattr(memory, "peak_bytes", lambda *_: 2**20)
    threads = torch.get_num_threads()
    file = tmp_path / "figures.json"
    command = "decoder --encoders edsr --sizes 8 --scales 2 --rounds 1 --batch 1 --mpx 0.001 --json"
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), str(file)])
    torch.set_num_threads(threads)
    assert ended.value.code == 0
    figures = json.loads(file.read_text())
    assert {"cpu", "cores", "torch", "commit", "date"} <= figures["machine"].keys()
    assert figures["options"]["rounds"] == 1
    assert {table["part"] for table in figures["tables"]} == {"speed", "scaling", "training", "memory", "macs"}
    printed = capsys.readouterr().out
    assert all(table["title"] in printed for table in figures["tables"])
    ratios = next(table["rows"] for table in figures["tables"] if table["title"].startswith("Ratios"))
    assert ratios[0]["max error"] < 1e-5
    assert ratios[0]["ours x plain"] > 0
