"""Networks as ONNX: an encoder and a query, two files that the tensors kept of an image connect, with all sizes open.

The encoder runs once an image, the query once for each chunk of its pixels. With onnxruntime and numpy alone:

    encoder, query = (onnxruntime.InferenceSession(f"NAME_{part}.onnx") for part in ("encoder", "query"))

    def upscale(lq, height, width, rows=64):  # lq: float32, b 3 h w, RGB in [0, 1]
        kept = dict(zip([output.name for output in encoder.get_outputs()], encoder.run(None, {"lq": lq})))
        # pixel centres in [-1, 1]; rounded otherwise, a query halfway between cells (scale 1.5) might go to the other one
        ys, xs = ((1 - n) / n + (2 / n) * np.arange(n, dtype=np.float32) for n in (height, width))
        kept["cell"] = np.full((len(lq), 2), (2 / height, 2 / width), np.float32)
        bands = []
        for band in np.split(ys, range(rows, height, rows)):
            coord = np.stack(np.meshgrid(band, xs, indexing="ij"), axis=-1)
            bands.append(query.run(["rgb"], {**kept, "coord": np.stack([coord] * len(lq))})[0])
        return np.concatenate(bands, axis=2).clip(0, 1)

Both files carry, under the key `realciao`, the network's spec and the notes of its weights as JSON. A graph knows shapes but no
values: `PixelShuffleDecoder` there cannot refuse a scale that is not its own.
"""

import copy
import importlib.util
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realciao.archs.ciaosr_arch import Prepared
from realciao.errors import UserError
from realciao.files import atomic_path
from realciao.weights.header import HEADER

OPSET = 20
Axes = dict[int, str]
"""Names of a tensor's open axes."""
QUERY_AXES: dict[str, Axes] = {"coord": {0: "b", 1: "hq", 2: "wq"}, "cell": {0: "b"}}


def export_onnx(net: nn.Module, path: str | Path, **notes: Any) -> tuple[Path, Path]:
    """Writes PATH_encoder.onnx and PATH_query.onnx, in float32.

    Args:
        net: made by `build_network` or `load_weights`; it is left as it is.
        path: where, without the files' endings; each file appears whole or not at all.
        **notes: JSON values for the files' header, e.g. licence="Apache-2.0".

    Raises:
        UserError: packages are missing, the network's graph depends on the image's size, or a file cannot be written.
    """
    check_packages()
    _check_base(net)
    plain: Any = copy.deepcopy(net).cpu().float().eval().requires_grad_(False)
    encoder = _Encoder(plain)
    # more than a window, and no multiple of one or of a scale: so all padding and cutting is in the graph; nor alike, nor 1
    image, queries = _example(encoder, 2, (41, 37), (5, 7))
    other_image, other_queries = _example(encoder, 3, (61, 67), (4, 3))
    query = _Query(plain, plain.prepare(image["lq"], dense=False))
    programs = {
        "encoder": _export(encoder, image, other_image, [name for name in queries if name not in QUERY_AXES]),
        "query": _export(query, queries, other_queries, ["rgb"]),
    }
    for part, program in programs.items():
        _write(program, onnx_path(path, part), {"part": part, "spec": plain.spec, **notes})
    return onnx_path(path, "encoder"), onnx_path(path, "query")


def _check_base(net: Any) -> None:
    if net.base_scale is not None:
        raise UserError(
            "the network resamples an image that its encoder makes (a teacher, or a student with `at: map`), and that has no "
            "ONNX form here; export a student with `at: trunk`, or a small one"
        )


def export_fixed_onnx(net: nn.Module, path: str | Path, scale: int, **notes: Any) -> Path:
    """Writes one file for one scale, as x4 models are: "input" (b 3 h w, RGB in [0, 1]) to "output" (b 3 sh sw), clamped.

    All pixels of the result are decoded at once, so a program must give it tiles.

    Raises:
        UserError: as `export_onnx`, or a scale below 1.
    """
    check_packages()
    _check_base(net)
    if scale < 1:
        raise UserError(f"scale {scale}: a model of one scale has a whole number, 1 or more")
    plain: Any = copy.deepcopy(net).cpu().float().eval().requires_grad_(False)
    image, other = ({"input": torch.zeros(b, 3, *size)} for b, size in ((2, (41, 37)), (3, (61, 67))))
    program = _export(_Fixed(plain, scale), image, other, ["output"])
    _write(program, onnx_path(path), {"part": "whole", "scale": scale, "spec": plain.spec, **notes})
    return onnx_path(path)


def onnx_path(path: str | Path, part: str = "") -> Path:
    """Where `export_onnx` writes "encoder" or "query", and, without a part, `export_fixed_onnx` its one file."""
    path = Path(path)
    return path.with_name(f"{path.name.removesuffix('.onnx')}{part and f'_{part}'}.onnx")


def _write(program: Any, path: Path, header: dict[str, Any]) -> None:
    program.model.metadata_props[HEADER] = json.dumps(header)
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)


def check_packages() -> None:
    """UserError unless the packages that exporting needs are installed."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        cure = "`python -m pip install -c constraints.txt -e '.[onnx]'` installs what ONNX needs"
        raise UserError(f"no package {' and '.join(missing)}: {cure}")


class _Encoder(nn.Module):
    """`prepare`: {"lq"} to the tensors that queries need."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net: Any = net

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        # tables of the whole image, and none that pays for a single chunk of queries only
        prepared = self.net.prepare(inputs["lq"], dense=False)
        return {"lq_normalised": prepared.lq, **dict(_tensors(prepared.decoder))}


class _Query(nn.Module):
    """`query`: the encoder's tensors, {"coord"} and {"cell"} to {"rgb"}."""

    def __init__(self, net: nn.Module, like: Prepared) -> None:
        super().__init__()
        self.net: Any = net
        self.like = like

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Float[Tensor, "b 3 hq wq"]]:
        lq = inputs["lq_normalised"]
        size = (lq.shape[2], lq.shape[3])
        prepared = Prepared(lq, (0, 0, *size), _refill(self.like.decoder, inputs, size))
        return {"rgb": self.net.query(prepared, inputs["coord"], inputs["cell"])}


class _Fixed(nn.Module):
    """{"input"} to {"output"} at one scale."""

    def __init__(self, net: nn.Module, scale: int) -> None:
        super().__init__()
        self.net: Any = net
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Float[Tensor, "b 3 hq wq"]]:
        lq = inputs["input"]
        height, width = self.scale * lq.shape[2], self.scale * lq.shape[3]
        ys, xs = ((1 - n) / n + (2 / n) * torch.arange(n, dtype=torch.float32) for n in (height, width))
        coord = torch.stack(torch.meshgrid(ys, xs, indexing="ij"), dim=-1)
        cell = torch.cat([torch.full((1,), 2.0) / n for n in (height, width)])
        pred = self.net(lq, coord.expand(lq.shape[0], -1, -1, -1), cell.expand(lq.shape[0], 2))
        return {"output": pred.clamp(0, 1)}


def _tensors(prepared: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a NamedTuple, and of those in it, by name."""
    for field, value in prepared._asdict().items():
        if isinstance(value, Tensor):
            yield path + field, value
        elif hasattr(value, "_asdict"):
            yield from _tensors(value, f"{path}{field}_")


def _refill(like: Any, tensors: Mapping[str, Tensor], size: tuple[int, int], path: str = "") -> Any:
    """A NamedTuple as it is for an image of another size, given its tensors by name."""
    fields: dict[str, Any] = {"frame": (0, 0, *size), "size": size}
    for field, value in like._asdict().items():
        if isinstance(value, Tensor):
            fields[field] = tensors[path + field]
        elif hasattr(value, "_asdict"):
            fields[field] = _refill(value, tensors, size, f"{path}{field}_")
    return like._replace(**{field: value for field, value in fields.items() if field in like._fields})


def _example(
    encoder: _Encoder, batch: int, size: tuple[int, int], grid: tuple[int, int]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What goes into the encoder and into the query."""
    image = {"lq": torch.zeros(batch, 3, *size)}
    # in memory as any runtime would have them; ONNX knows no strides
    kept = {name: tensor.contiguous() for name, tensor in encoder.forward(image).items()}
    return image, {**kept, "coord": torch.zeros(batch, *grid, 2), "cell": torch.zeros(batch, 2)}


def _open_axes(name: str, tensor: Tensor) -> Axes:
    """Maps are open in batch, height and width, tables in batch and rows, or in rows alone: those of all images."""
    rows = f"{name}_rows"
    return QUERY_AXES.get(name) or {4: {0: "b", 2: "h", 3: "w"}, 3: {0: "b", 1: rows}, 2: {0: rows}}[tensor.ndim]


def _export(module: nn.Module, inputs: dict[str, Tensor], others: dict[str, Tensor], outputs: list[str]) -> Any:
    """The module's graph as a torch.onnx.ONNXProgram, without what tells of the machine; `others` have other sizes."""
    import onnx_ir.passes.common as passes

    axes = {name: _open_axes(name, tensor) for name, tensor in inputs.items()}
    dynamic = {name: dict.fromkeys(open_axes, torch.export.Dim.DYNAMIC) for name, open_axes in axes.items()}
    try:
        # not left to torch.onnx, which tries another way where this fails, and that closes axes in silence;
        # deferred: a guard that there is more than one window of an image is no reason to refuse an image of one
        graph = torch.export.export(
            module, (inputs,), dynamic_shapes=(dynamic,), prefer_deferred_runtime_asserts_over_guards=True
        )
        graph.module()(others)  # what was deferred is asserted here, and in ONNX no more
    except UserError:
        raise
    except Exception as error:  # torch raises whatever it finds
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"the network cannot be exported, as its graph depends on the image's size ({reason})"
        ) from error
    with warnings.catch_warnings(action="ignore"):  # of axes that have one name because they are of one size
        program = torch.onnx.export(
            graph,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=(axes,),
            opset_version=OPSET,
            optimize=False,  # it takes 1e-9 for 0, which the weights of LIIF's ensemble are not
            verbose=False,
        )
    assert program is not None
    # a Constant written as a bare list of integers is of another type than a Shape to OpenCV, which then refuses their Concat
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(program.model)
    passes.CommonSubexpressionEliminationPass()(program.model)
    passes.ClearMetadataAndDocStringPass()(program.model)  # stack traces with paths, node by node
    return program
