"""No head at all: the result is what the network around it adds."""

from jaxtyping import Float
from torch import Tensor, nn

from realciao.coords import Frame
from realciao.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class ZeroDecoder(nn.Module):
    """Gives 0 everywhere. Behind a TrunkEncoder with `at: map` the network is the encoder's model, resampled to any size."""

    reach_px = 0

    def __init__(self, feat_dim: int) -> None:
        super().__init__()

    def prepare(
        self, feat: Float[Tensor, "b c h w"], lq: Float[Tensor, "b 3 h w"], frame: Frame, dense: bool
    ) -> Float[Tensor, ""]:
        return feat.new_zeros(())

    def query(
        self, prepared: Float[Tensor, ""], coord: Float[Tensor, "b hq wq 2"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        return prepared.expand(len(coord), 3, *coord.shape[1:3])

    def query_grid(
        self, prepared: Float[Tensor, ""], ys: Float[Tensor, "hq"], xs: Float[Tensor, "wq"], cell: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b 3 hq wq"]:
        return prepared.expand(len(cell), 3, len(ys), len(xs))
