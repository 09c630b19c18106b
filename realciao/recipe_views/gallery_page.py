"""The gallery of degradations as one HTML page, pictures included: nothing is loaded from elsewhere."""

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import PurePath
from string import Template

from PIL import Image

from realciao.images.reading import size_text
from realciao.recipe_views.gallery import Exhibit, Panel, Pixels

MAX_EMBEDDED_PX = 384
"""Longer side of a step's picture in the page; larger ones are made smaller."""
JPEG_QUALITY = 92

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --mark: #c2410c;
  --ink: #1a1d21; --soft: #5c6570; --paper: #fbfbfa; --card: #fff; --line: #dfe2e6; }
@media (prefers-color-scheme: dark) {
  :root { --mark: #fb923c; --ink: #e8eaed; --soft: #a0a8b2; --paper: #15171a; --card: #1e2125; --line: #33383f; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 1.5rem clamp(.8rem, 3vw, 2.5rem) 4rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .2rem 0; color: var(--soft); max-width: 70ch; }
section { margin-top: 2rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; }
.pair, .steps { display: grid; gap: .8rem; padding: 0; margin: .8rem 0; }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(46%, 16rem), 1fr)); max-width: 46rem; }
.whole { position: relative; }
.whole i { position: absolute; outline: 2px solid var(--mark); outline-offset: -2px; }
.pair figcaption { font-size: .85rem; color: var(--soft); padding-top: .3rem; }
.steps { grid-template-columns: repeat(auto-fill, minmax(min(46%, 13rem), 1fr)); list-style: none; }
.steps figure { height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.steps figcaption { padding: .5rem .6rem .6rem; font-size: .85rem; overflow-wrap: anywhere; }
.steps small { display: block; color: var(--soft); }
.pixels { image-rendering: pixelated; }
details { font-size: .85rem; color: var(--soft); }
summary { cursor: pointer; }
a { color: inherit; }
pre { overflow-x: auto; padding: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$intro</p>
$sections
</body>
</html>
""")

_INTRO = (
    "For each image: the whole of it and of the result, and then the framed part after every step. "
    "Pixels are enlarged without smoothing. PSNR is that of the result, enlarged by bicubic interpolation, against the input."
)


def build_page(title: str, exhibits: Sequence[Exhibit]) -> str:
    """The page; it opens in any browser, at any width, and follows the reader's choice of light or dark."""
    sections = "\n".join(_section(exhibit) for exhibit in exhibits)
    return _PAGE.substitute(title=html.escape(title), intro=_INTRO, sections=sections)


def _section(exhibit: Exhibit) -> str:
    first, last = exhibit.panels[0], exhibit.panels[-1]
    top, left, bottom, right = (100 * part for part in exhibit.box)
    frame = f'<i style="top:{top:.2f}%;left:{left:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"></i>'
    ratio = f"aspect-ratio:{first.size[1]}/{first.size[0]}"
    pair = "".join(
        f'<figure><div class="whole"><img class="pixels" style="{ratio}" alt="{name}" src="{_uri(pixels)}">{frame}</div>'
        f"<figcaption>{name}, {_size(panel)}</figcaption></figure>"
        for name, pixels, panel in (("Input", exhibit.before, first), ("Result", exhibit.after, last))
    )
    steps = "".join(_step(number, panel, panel is last) for number, panel in enumerate(exhibit.panels))
    return (
        f"<section><h2>{html.escape(exhibit.name)}</h2>"
        f"<p>{_size(first)} to {_size(last)}, PSNR {exhibit.psnr_db:.1f} dB</p>"
        f'<div class="pair">{pair}</div><ol class="steps">{steps}</ol>{_plan(exhibit)}</section>'
    )


def _plan(exhibit: Exhibit) -> str:
    """The plan to read and to save, folded away."""
    plan = json.dumps(exhibit.plan, indent=1)
    link = f"data:application/json;base64,{base64.b64encode(plan.encode()).decode()}"
    name = html.escape(f"{PurePath(exhibit.name).stem}.json")
    return (
        f"<details><summary>The plan, for <code>--replay</code></summary>"
        f'<p><a download="{name}" href="{link}">Save it as {name}</a></p><pre>{html.escape(plan)}</pre></details>'
    )


def _step(number: int, panel: Panel, is_result: bool) -> str:
    title, _, rest = panel.words.partition(": ")
    words = f"<strong>{number}. {html.escape(title)}</strong>{': ' if rest else ''}{html.escape(rest)}"
    size = f"<small>{'result, ' if is_result else ''}{_size(panel)}</small>"
    image = f'<img class="pixels" style="aspect-ratio:1" alt="after step {number}" src="{_uri(_fit(panel.crop))}">'
    return f"<li><figure>{image}<figcaption>{words}{size}</figcaption></figure></li>"


def _fit(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_EMBEDDED_PX, MAX_EMBEDDED_PX), Image.Resampling.BOX)
    return image


def _uri(picture: Pixels | Image.Image) -> str:
    """As PNG where that is not much larger, else as JPEG of a quality that hides nothing."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG")
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    kind, data = ("png", png) if png.tell() < 2 * jpeg.tell() + 4096 else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def _size(panel: Panel) -> str:
    return f"{size_text(panel.size)} px"
