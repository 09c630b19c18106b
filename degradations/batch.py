"""Plans carried out in torch: many images at once, each by its own plan, on the device where they are.

The laws are those of `plan.apply`, noise fields aside, which come from torch's generators: for one device the same plan
gives the same image bit for bit, and against NumPy's the same distribution. Gradients reach the images wherever a step is
differentiable; roundings to 8 bits let them through as if they were not there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from degradations.errors import RecipeError
from degradations.plan import Plan, blamed_on, check_plan, find_step
from degradations.registry import Params, Step
from degradations.tensors import to_8bit_levels

Todo = list[tuple[str, Params]]
"""The steps that await an image, each with its place in the plans."""

Degraded = Float[Tensor, "b 3 h w"] | list[Float[Tensor, "3 _ _"]]
"""A batch where all sizes agree, else a list."""


def apply_batch(plans: Sequence[Plan], images: Float[Tensor, "b 3 hr_h hr_w"]) -> Degraded:
    """Degrades HR images, RGB in [0, 1], each as its plan says; the results lie on the 8-bit grid of [0, 1].

    Raises:
        RecipeError: a plan is of another version, damaged, or for another size; the path starts with `plans.NUMBER`.
    """
    return pair_batch(plans, images)[0]


def target_batch(plans: Sequence[Plan], images: Float[Tensor, "b 3 hr_h hr_w"]) -> Float[Tensor, "b 3 hr_h hr_w"]:
    """The HR images that belong to `apply_batch(plans, images)`, sharpened where a recipe says so."""
    _check(plans, images)
    targets = [[] if p["target"] is None else [(f"plans.{i}.target", p["target"])] for i, p in enumerate(plans)]
    with _full_precision(images.device):
        return torch.stack(_run(targets, list(images))) if any(targets) else images


def pair_batch(
    plans: Sequence[Plan], images: Float[Tensor, "b 3 hr_h hr_w"]
) -> tuple[Degraded, Float[Tensor, "b 3 hr_h hr_w"]]:
    """`apply_batch` and `target_batch` in one, which sharpens once: (degraded images, targets)."""
    targets = target_batch(plans, images)
    steps = [[(f"plans.{i}.steps.{j}", s) for j, s in enumerate(p["steps"])] for i, p in enumerate(plans)]
    with _full_precision(images.device):
        degraded = _run(steps, list(targets))
        for i, (plan, lq) in enumerate(zip(plans, degraded, strict=True)):
            if list(lq.shape[1:]) != plan["lr_size"]:
                says = f"the plan says {plan['lr_size']}, its steps end with {list(lq.shape[1:])}"
                raise RecipeError(f"plans.{i}.lr_size", says)
        degraded = [to_8bit_levels(lq) / 255 for lq in degraded]
    return torch.stack(degraded) if len({lq.shape for lq in degraded}) == 1 else degraded, targets


def _run(todos: Sequence[Todo], images: list[Tensor], stack: bool | None = None) -> list[Tensor]:
    """Carries out what each image awaits, turn by turn; equal steps between equal sizes are one call where that pays.

    Args:
        stack: whether to stack at all. By default not on CPUs, which work through single images as fast or faster, as
            they stay in its cache, and then no result depends on its neighbours in the batch, not even in the last bit.
    """
    for turn in range(max(map(len, todos), default=0)):
        groups: dict[tuple, list[int]] = {}
        for i, image in enumerate(images):
            if turn < len(todos[i]):
                groups.setdefault(_group(*todos[i][turn], image), []).append(i)
        if not (images[0].device.type != "cpu" if stack is None else stack):
            groups = {(group[0], i): [i] for group, members in groups.items() for i in members}
        for group, members in groups.items():
            where, params = zip(*(todos[i][turn] for i in members), strict=True)
            with blamed_on(" or ".join(where)):
                done = group[0].apply_batch(params, torch.stack([images[i] for i in members]))
            for i, image in zip(members, done, strict=True):
                images[i] = image
    return images


def _group(where: str, params: Params, image: Tensor) -> tuple[type[Step], str, str]:
    """Images whose next steps have this in common may be stacked."""
    with blamed_on(where):
        return find_step(params), str(image.shape), str(params.get("size"))


def _check(plans: Sequence[Plan], images: Tensor) -> None:
    if images.dtype != torch.float32 or images.dim() != 4 or images.shape[1] != 3:
        raise TypeError(f"expected float32 images b 3 h w in [0, 1], got {images.dtype} {list(images.shape)}")
    if len(plans) != len(images):
        raise ValueError(f"expected a plan for each image, got {len(plans)} plans for {len(images)} images")
    for i, plan in enumerate(plans):
        with blamed_on(f"plans.{i}"):
            check_plan(plan)
            if list(images.shape[2:]) != plan["size"]:
                size = list(images.shape[2:])
                raise RecipeError("size", f"the plan is for an image of {plan['size']}, got one of {size}")
    # on a GPU this would wait for all that the device has yet to do
    if images.device.type == "cpu" and not torch.isfinite(images.detach().sum()):
        raise ValueError("the images hold NaN or infinity")


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Whatever the caller computes in, noise and filters need all 24 bits: neither autocast nor TF32."""
    kept = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(kept)
