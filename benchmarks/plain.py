"""The loss and the step of Monodepth2 to the letter, without any of our shortcuts: what ours is measured by.

Everything is computed where the text says so: the identity error at every scale, each moment of the SSIM by a
pooling of its own, points and pixels of every source anew, in the precision of the batch.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.torch.methods.monodepth2 import Monodepth2
from backends.torch.tensors import seed_everything, to_batch
from core.datasets.sample import Sample
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.schedule import step_seed


def ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """clamp((1 − SSIM) / 2, 0, 1) per channel, from 3×3 means of reflect-padded images (B, C, H, W)."""
    x, y = (F.pad(image, (1, 1, 1, 1), mode="reflect") for image in (x, y))
    mean_x, mean_y = F.avg_pool2d(x, 3, 1), F.avg_pool2d(y, 3, 1)
    variance_x = F.avg_pool2d(x**2, 3, 1) - mean_x**2
    variance_y = F.avg_pool2d(y**2, 3, 1) - mean_y**2
    covariance = F.avg_pool2d(x * y, 3, 1) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    denominator = (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    return torch.clamp((1 - numerator / denominator) / 2, 0, 1)


def photometric_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(B, 3, H, W) twice → (B, 1, H, W)."""
    difference = (target - prediction).abs().mean(1, keepdim=True)
    return 0.85 * ssim_loss(prediction, target).mean(1, keepdim=True) + 0.15 * difference


def rotation(axisangle: Tensor) -> Tensor:
    """Rodrigues' formula by the cross-product matrix: (B, 3) → (B, 3, 3)."""
    angle = axisangle.norm(dim=1, keepdim=True)
    x, y, z = (axisangle / (angle + 1e-7)).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    axis = torch.stack([x, y, z], 1)
    sine, cosine = torch.sin(angle)[:, :, None], torch.cos(angle)[:, :, None]
    identity = torch.eye(3, dtype=axisangle.dtype, device=axisangle.device)
    return cosine * identity + (1 - cosine) * axis[:, :, None] * axis[:, None, :] + sine * cross


def transform(axisangle: Tensor, translation: Tensor, invert: bool) -> Tensor:
    """T_source_target (B, 4, 4) as a product of matrices, the inverse as Rᵀ after −t."""
    T_rotation, T_translation = (
        torch.eye(4, dtype=axisangle.dtype, device=axisangle.device).repeat(len(axisangle), 1, 1)
        for _ in range(2)
    )
    R = rotation(axisangle)
    T_rotation[:, :3, :3] = R.transpose(1, 2) if invert else R
    T_translation[:, :3, 3] = -translation if invert else translation
    return T_rotation @ T_translation if invert else T_translation @ T_rotation


def warp(source: Tensor, depth: Tensor, K: Tensor, T_source_target: Tensor) -> Tensor:
    """The target view (B, 3, H, W), sampled from a source."""
    count, _, height, width = depth.shape
    v, u = torch.meshgrid(
        torch.arange(height, dtype=depth.dtype, device=depth.device),
        torch.arange(width, dtype=depth.dtype, device=depth.device),
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)]).view(1, 3, -1).repeat(count, 1, 1)
    points = depth.view(count, 1, -1) * (torch.linalg.inv(K) @ pixels)
    homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    camera = (K @ T_source_target[:, :3]) @ homogeneous
    position = (camera[:, :2] / (camera[:, 2:] + 1e-7)).view(count, 2, height, width).permute(0, 2, 3, 1)
    size = torch.tensor([width - 1, height - 1], dtype=depth.dtype, device=depth.device)
    grid = (position / size - 0.5) * 2
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)


def smoothness(sigmoid: Tensor, image: Tensor) -> Tensor:
    """Of the sigmoid divided by its mean over each image."""
    disparity = sigmoid / (sigmoid.mean((2, 3), keepdim=True) + 1e-7)
    total = 0
    for axis in (2, 3):
        weight = torch.exp(-image.diff(dim=axis).abs().mean(1, keepdim=True))
        total = total + (disparity.diff(dim=axis).abs() * weight).mean()
    return total


def loss(method: Monodepth2, batch: dict[str, Tensor]) -> Tensor:
    """The loss of the published setting: from video, pairs for the pose, minimum and auto-mask."""
    options = method.options
    sigmoids = method.depth(method.encoder(batch["augmented_0"]))
    motions = {}
    for source in options.frame_ids[1:]:
        order = (source, 0) if source < 0 else (0, source)
        pair = torch.cat([batch[f"augmented_{frame}"] for frame in order], 1)
        axisangle, translation = method.pose([method.pose_encoder(pair)])
        motions[source] = transform(axisangle[:, 0, 0], translation[:, 0, 0], invert=source < 0)
    return image_loss(method, batch, sigmoids, motions)


def image_loss(
    method: Monodepth2, batch: dict[str, Tensor], sigmoids: dict[int, Tensor], motions: dict[int, Tensor]
) -> Tensor:
    """The loss of given sigmoids, {scale: (B, 1, h, w)}, and motions, {source: T_source_target (B, 4, 4)}."""
    options, target, total = method.options, batch["image_0_0"], 0
    for scale in options.scales:
        sigmoid = F.interpolate(sigmoids[scale], target.shape[2:], mode="bilinear", align_corners=False)
        least, most = 1 / options.max_depth, 1 / options.min_depth
        depth = 1 / (least + (most - least) * sigmoid)
        warped = [warp(batch[f"image_{f}_0"], depth, batch["K"], T) for f, T in motions.items()]
        reprojection = torch.cat([photometric_error(view, target) for view in warped], 1)
        identity = torch.cat([photometric_error(batch[f"image_{f}_0"], target) for f in motions], 1)
        drawn = method.draw(f"noise/{scale}", tuple(identity.shape), "normal").to(identity.dtype)
        minimum = torch.cat([identity + 1e-5 * drawn, reprojection], 1).min(1).values
        smooth = smoothness(sigmoids[scale], batch[f"image_0_{scale}"])
        total = total + minimum.mean() + options.disparity_smoothness / 2**scale * smooth
    return total / len(options.scales)


class PlainTrainer:
    """The step in a few lines: Adam as PyTorch has it by default, memory in its default layout.

    Args:
        method: whose weights are copied.
    """

    def __init__(self, method: Monodepth2, device: torch.device) -> None:
        self.method = copy.deepcopy(method).to(memory_format=torch.contiguous_format)
        self.device, self.options = device, method.options
        self.optimizer = torch.optim.Adam(self.method.parameters(), lr=method.options.learning_rate)

    def train_step(self, step: int, arrays: Sample) -> float:
        """One update; returns the loss before it."""
        options: Monodepth2Options = self.options
        self.method.train()
        self.optimizer.zero_grad()
        seed_everything(step_seed(options.seed, step, 0))
        found = loss(self.method, to_batch(arrays, self.device))
        found.backward()
        self.optimizer.step()
        return found.item()
