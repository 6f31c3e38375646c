"""Whether the plain version computes what ours does: in float64, where a real difference stands out."""

import torch

from backends.torch.methods import make_method
from backends.torch.methods.monodepth2 import Pose
from backends.torch.tensors import draw_on, seed_everything, to_tensor
from benchmarks import plain
from benchmarks.frames import frame
from core.geometry import nominal_intrinsics
from core.options.methods.monodepth2 import Monodepth2Options

HEIGHT, WIDTH, COUNT = 64, 96, 2
BOUND = 1e-9  # relative; they add in another order, which makes 1e-13


def largest_difference(device: torch.device) -> float:
    """The largest relative difference of the loss and of its gradients by sigmoids and motions."""
    options = Monodepth2Options(height=HEIGHT, width=WIDTH, weights_init="scratch")
    method = make_method(options, draw=draw_on(device)).train()
    inputs = draw_inputs(options, device)
    found = []
    for take in (ours, to_the_letter):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
        seed_everything(0)
        value = take(method, batch_of(options, device), leaves)
        found.append([value, *torch.autograd.grad(value, list(leaves.values()))])
    pairs = zip(*found, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def draw_inputs(options: Monodepth2Options, device: torch.device) -> dict[str, torch.Tensor]:
    """Sigmoids and motions that a network might give."""
    generator = torch.Generator().manual_seed(0)
    inputs = {}
    for scale in options.scales:
        shape = (COUNT, 1, options.height >> scale, options.width >> scale)
        inputs[f"sigmoid_{scale}"] = 0.05 + 0.4 * torch.rand(shape, generator=generator, dtype=torch.float64)
    for source in options.frame_ids[1:]:
        for kind in ("axisangle", "translation"):
            inputs[f"{kind}_{source}"] = 0.02 * torch.randn(
                COUNT, 3, generator=generator, dtype=torch.float64
            )
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def batch_of(options: Monodepth2Options, device: torch.device) -> dict[str, torch.Tensor]:
    """Three frames, and the target at every scale."""
    batch = {f"image_{f}_0": image(f + 1, options.height, options.width, device) for f in options.frame_ids}
    for scale in options.scales[1:]:
        batch[f"image_0_{scale}"] = image(1, options.height >> scale, options.width >> scale, device)
    batch["K"] = to_tensor(
        nominal_intrinsics(options.height, options.width)[None].repeat(COUNT, 0), device
    ).double()
    return batch


def image(number: int, height: int, width: int, device: torch.device) -> torch.Tensor:
    """Two images one after the other, (2, 3, height, width) float64 in [0, 1]."""
    pixels = torch.stack([to_tensor(frame(number + i, height, width)) for i in range(COUNT)])
    return pixels.permute(0, 3, 1, 2).to(device).double() / 255


def sigmoids_of(method, leaves: dict[str, torch.Tensor]) -> dict[int, torch.Tensor]:
    return {scale: leaves[f"sigmoid_{scale}"] for scale in method.options.scales}


def ours(method, batch: dict[str, torch.Tensor], leaves: dict[str, torch.Tensor]) -> torch.Tensor:
    """The toolbox's loss."""
    poses = {
        f: Pose(leaves[f"axisangle_{f}"], leaves[f"translation_{f}"], invert=f < 0)
        for f in method.options.frame_ids[1:]
    }
    return method.synthesis_losses(batch, sigmoids_of(method, leaves), poses, None).loss


def to_the_letter(method, batch: dict[str, torch.Tensor], leaves: dict[str, torch.Tensor]) -> torch.Tensor:
    """The plain loss."""
    motions = {
        f: plain.transform(leaves[f"axisangle_{f}"], leaves[f"translation_{f}"], invert=f < 0)
        for f in method.options.frame_ids[1:]
    }
    return plain.image_loss(method, batch, sigmoids_of(method, leaves), motions)
