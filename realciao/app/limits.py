"""How much one guest of the app may ask for."""

from typing import NamedTuple

from realciao.errors import UserError
from realciao.upscaling.sizes import Size, count_pixels

PREVIEW_PIXELS = 6_000_000
"""Of the part that is looked at: more than most screens show."""
DEGRADE_PIXELS = 12_000_000
"""Every step of a degradation holds several float32 copies of the photo."""


class Limits(NamedTuple):
    """What the app refuses beyond."""

    upload_mb: float = 100
    """Megabytes of a photo's file."""
    input_mp: float = 50
    """Megapixels of a photo."""
    output_mp: float = 100
    """Megapixels of a result."""
    minutes: float = 30
    """That one piece of work may take."""
    queue: int = 8
    """Pieces of work that wait."""
    guests: int = 16
    """Pages that are open at once."""
    idle_minutes: float = 10
    """After which a guest who is not heard of is taken for gone."""

    def check_result(self, size: Size) -> None:
        """Raises a UserError where a result of (height, width) is too large."""
        pixels = count_pixels(*size)
        if pixels > self.output_mp * 1e6:
            raise UserError(
                f"a result of {size[1]} x {size[0]} has {pixels / 1e6:.3g} megapixels; this server makes up to "
                f"{self.output_mp:g}. Choose a smaller scale or size"
            )
