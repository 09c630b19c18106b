"""What a network takes: parameters, seconds and memory, measured where it runs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from realciao.coords import scaled_size
from realciao.errors import UserError
from realciao.evaluation.grid.methods import Method, build_method
from realciao.evaluation.grid.options import Costs, GridOptions
from realciao.evaluation.grid.store import Store, digest
from realciao.machine.description import describe
from realciao.machine.memory import peak_bytes
from realciao.upscaling.upscaler import choose_device

COLUMNS = ("params_m", "params_encoder_m", "params_decoder_m", "seconds", "mib")
"""Parameters of all, of the encoder and of what is behind it in millions; seconds an image; memory beside the weights' own."""


@dataclass(frozen=True)
class Cost:
    """One method's; a value is None where the method has no such part, all of them where there is a reason."""

    method: str
    values: dict[str, float | None]
    reason: str
    random_weights: bool


def measure_costs(options: GridOptions, methods: list[Method], store: Store) -> list[Cost]:
    """The costs of every method that is a network; measured once and then remembered for the same machine."""
    costs = options.costs
    if costs is None:
        return []
    machine = [f"{key} {value}" for key, value in describe().items() if key not in ("commit", "date")]
    found = []
    for spec, method in zip(options.methods, methods, strict=True):
        if not hasattr(method, "build"):
            found.append(Cost(method.name, dict.fromkeys(COLUMNS), "no network", False))
            continue
        key = digest("costs", repr(spec), repr(costs), *machine)
        record = store.read(key)
        if not record:
            try:
                record = _measure(spec, costs, options.device)
            except UserError as error:
                found.append(Cost(method.name, dict.fromkeys(COLUMNS), str(error), False))
                continue
            store.write(key, record)
        found.append(Cost(method.name, {c: record[c] for c in COLUMNS}, "", bool(method.problem())))
    return found


def _measure(spec: dict[str, Any] | str, costs: Costs, device: str) -> dict[str, float | None]:
    net = build_method(spec, "methods").build()  # type: ignore[attr-defined]
    encoder = getattr(net, "encoder", None)
    total, front = _millions(net), _millions(encoder) if encoder is not None else None
    call, _ = prepare_call(spec, costs, device)
    call()  # the first call allocates
    seconds = []
    for _ in range(costs.rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return {
        "params_m": total,
        "params_encoder_m": front,
        "params_decoder_m": None if front is None else total - front,
        "seconds": statistics.median(seconds),
        "mib": peak_bytes(prepare_call, spec, costs, device) / 2**20,
    }


def _millions(net: nn.Module) -> float:
    return sum(p.numel() for p in net.parameters()) / 1e6


def prepare_call(spec: dict[str, Any] | str, costs: Costs, device: str) -> tuple[Callable[[], object], str]:
    """One whole upscaling of an image of noise, ready to be called, and the device."""
    place = choose_device(device)
    net: Any = build_method(spec, "methods").build().to(place).eval()  # type: ignore[attr-defined]
    lq = torch.rand(1, 3, *costs.lr_size, generator=torch.Generator().manual_seed(0)).to(place)
    size = scaled_size(costs.lr_size, costs.scale)

    @torch.inference_mode()
    def call() -> None:
        net.upscale(lq, size=size) if hasattr(net, "upscale") else net(lq)
        if place.type != "cpu":
            torch.accelerator.synchronize(place)

    return call, str(place)
