"""Measured costs: parameters are counted, times and memory are there, and a second run reads them."""

from pathlib import Path

import pytest
from tiny_grid import tiny_grid

from realciao.archs import build_network
from realciao.evaluation.grid import costs as module
from realciao.evaluation.grid.costs import measure_costs
from realciao.evaluation.grid.report import write_grid_report

NETWORK = {
    "type": "CiaoSR",
    "encoder": {"type": "EDSREncoder", "num_feat": 4, "num_block": 1},
    "decoder": {"type": "LIIFDecoder", "hidden": [8]},
}


def test_costs_are_measured_once_and_stand_beside_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "peak_bytes", lambda *_: 3 * 2**20)
    methods = ["bicubic", {"name": "net", "type": "Weights", "network": NETWORK}]
    paper = [{"method": "net", "metric": "params_m", "value": 1.5}]
    options = {"lr_size": [6, 8], "scale": 3, "rounds": 2}
    runner = tiny_grid(tmp_path, methods=methods, data=[], metrics=[], costs=options, paper=paper, device="cpu")
    results = runner.run()
    assert results is not None
    bicubic, net = measure_costs(results.options, results.methods, runner.store)
    assert bicubic.reason == "no network"
    whole = build_network(NETWORK)
    count = sum(p.numel() for p in whole.parameters())
    front = sum(p.numel() for p in whole.get_submodule("encoder").parameters())
    assert net.values["params_m"] == count / 1e6
    assert net.values["params_decoder_m"] == pytest.approx((count - front) / 1e6)
    assert (net.values["seconds"] or 0) > 0
    assert net.values["mib"] == 3
    assert net.random_weights
    monkeypatch.setattr(module, "_measure", None)  # would be called
    assert measure_costs(results.options, results.methods, runner.store) == [bicubic, net]
    text = {p.name: p.read_text(encoding="utf-8") for p in write_grid_report(results, [bicubic, net])}
    assert f"(paper 1.5, {count / 1e6 - 1.5:+.3f})" in text["metrics.md"]
    assert "net (random weights)" in text["report.html"]
    assert results.complete
