"""What `infer.py -m` knows by name, as a table or as lines of JSON."""

import json
from pathlib import Path
from typing import Any

from realciao.errors import UserError
from realciao.figures.markdown import table
from realciao.weights.catalogue import TEACHERS, Named
from realciao.weights.shipped import SHIPPED, Shipped, find_weights


def list_models(as_json: bool = False) -> str:
    """All models: what comes with the package, then the teachers."""
    models = [_describe(name, of) for name, of in {**SHIPPED, **TEACHERS}.items()]
    if as_json:
        return "\n".join(map(json.dumps, models))
    header = ["name", "scale", "file MB", "parameters", "cost", "for", "licence", "installed"]
    text = table(header, [_cells(model) for model in models])
    notes = [
        "cost: million multiply-accumulates an input pixel at the model's own scale; at x4 where that is any",
        "-m also takes a checkpoint's path: RRDBNet, SRVGGNetCompact, and with spandrel many others",
        *dict.fromkeys(f"to install: {model['install']}" for model in models if model["install"]),
    ]
    return "\n".join([text, "", *notes])


def _describe(name: str, of: Shipped | Named) -> dict[str, Any]:
    path = _path(name)
    named = of if isinstance(of, Named) else None
    return {
        "name": name,
        "scale": named.scale if named else "any",
        "file_mb": round(path.stat().st_size / 1e6, 1) if path else None,
        "parameters": of.parameters,
        "macs_per_pixel_m": of.macs_per_pixel,
        "use": of.use,
        "licence": of.licence,
        "installed": path is not None,
        "install": named.install() if named and path is None else None,
    }


def _path(name: str) -> Path | None:
    """The file, if it is there."""
    try:
        return find_weights(name)
    except UserError:
        return None


def _cells(model: dict[str, Any]) -> list[str]:
    scale, size = model["scale"], model["file_mb"]
    return [
        model["name"],
        f"x{scale}" if isinstance(scale, int) else scale,
        "-" if size is None else f"{size:.1f}",
        f"{model['parameters'] / 1e6:.2f} M",
        f"{model['macs_per_pixel_m']:.2f}",
        model["use"],
        model["licence"],
        "yes" if model["installed"] else "no",
    ]
