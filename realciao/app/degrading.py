"""The work of the second tab: what a recipe's plan does to the photo, step by step."""

import json
import math
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from degradations import apply
from degradations.pipeline import recipe_names
from realciao.app.limits import DEGRADE_PIXELS
from realciao.app.sessions import Session, Sessions
from realciao.app.views import to_png
from realciao.app.work import Message, Report
from realciao.errors import UserError
from realciao.images.reading import from_float, to_rgb
from realciao.images.reading import to_png as image_to_png
from realciao.recipe_views.gallery import Pixels, show
from realciao.recipe_views.plans import drawn_plans, load_pipeline, user_error

_PANEL_PX = 384
"""Longer side of a step's picture."""
_MAX_SEED = 2**53 - 1
"""What a browser's numbers hold."""


class Degrading:
    """What the page may ask of the degradations."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def degrade(self, key: str, pipeline: str, scale: float, seed: int) -> Iterator[dict]:
        """Draws a plan and carries it out; yields messages, see `Sessions.work`."""

        def work(session: Session, report: Report) -> Message:
            given = session.photo()
            height, width = given.image.shape[:2]
            if height * width > DEGRADE_PIXELS:
                raise UserError(
                    f"photos of up to {DEGRADE_PIXELS / 1e6:g} megapixels are degraded here; this one is larger"
                )
            make_plan = _plans(pipeline, scale, seed)
            image = to_rgb(np.asarray(given.image))
            with user_error("the recipe"):
                plan = make_plan(0, (height, width))
                report(0.05)
                exhibit = show(given.name, plan, image)
                report(0.6)
                lq = from_float(apply(plan, image), np.uint8)
            stem = PurePath(given.name).stem
            text = json.dumps(plan, indent=1) + "\n"
            panels = []
            for panel in exhibit.panels:
                title, _, words = panel.words.partition(": ")
                picture = _keep(session, panel.crop)
                panels.append({"title": title, "words": words, "size": list(panel.size), "picture": picture})
            return {
                "panels": panels,
                "psnr_db": exhibit.psnr_db,
                "lr_size": plan["lr_size"],
                "photo": session.keep(image_to_png(lq), "image/png", f"{stem}_degraded.png"),
                "plan": session.keep(text.encode(), "application/json", f"{stem}_plan.json"),
                "plan_name": f"{stem}_plan.json",
            }

        yield from self.sessions.work(key, work)


def _plans(pipeline: Any, scale: Any, seed: Any) -> Any:
    if pipeline not in recipe_names():  # a file's name would be read
        raise UserError("there is no such recipe")
    if not isinstance(scale, int | float) or not 1 <= scale <= 64 or math.isnan(scale):
        raise UserError("the scale of a degradation goes from 1 to 64")
    if not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
        raise UserError("the seed is a whole number from 0 on")
    return drawn_plans(load_pipeline(pipeline), float(scale), seed)


def _keep(session: Session, pixels: Pixels) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PANEL_PX, _PANEL_PX), Image.Resampling.BOX)
    return session.keep(to_png(picture), "image/png")
