"""Loading weights that must fit their network exactly."""

from collections.abc import Mapping

from torch import Tensor, nn

from realciao.errors import UserError


def load_tensors(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Loads a state dict.

    Raises:
        UserError: names the first missing, unexpected or ill-shaped entry, or one that is not finite.
    """
    wanted = net.state_dict()
    for name in [*sorted(wanted.keys() - tensors.keys()), *sorted(tensors.keys() - wanted.keys())]:
        there, here = ("lack", "has") if name in wanted else ("hold", "has not")
        raise UserError(f"the weights do not fit: they {there} '{name}', which the network {here}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{list(tensor.shape)}, the network needs {list(wanted[name].shape)}"
            raise UserError(f"the weights do not fit: '{name}' is {shapes}")
        if not tensor.isfinite().all():
            raise UserError(f"the weights are spoilt: '{name}' holds values that are not finite")
    net.load_state_dict(tensors)
