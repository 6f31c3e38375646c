"""Neural ray surfaces: depth, motion and the rays of any central camera, from video (Vasiljevic et al., 3DV 2020)."""

import sys
from collections.abc import Mapping

import numpy as np
import paddle
from paddle import Tensor, nn

from backends.paddle.losses.multiscale import PhotometricSettings, smoothness_loss
from backends.paddle.losses.ray_photometric import ray_photometric_loss
from backends.paddle.losses.ray_projection import ProjectionSettings, ray_surface
from backends.paddle.losses.view_synthesis import motion, resize_nearest
from backends.paddle.methods.base import Losses, Method
from backends.paddle.networks.depth_resnet import LARGEST_DISPARITY
from backends.paddle.networks.pose_resnet import PoseResNet
from backends.paddle.networks.ray_surface_resnet import RaySurfaceResNet
from backends.paddle.tensors import Draw, autocast, draw, to_array, widen
from core.cameras.templates import load_template
from core.datasets.sample import augmented_key, image_key, motion_key
from core.errors import UserError
from core.geometry import median_spacing
from core.options.methods.ray_surface import RaySurfaceOptions

MOMENTUM = 0.1  # share of a batch in the running mean


class RaySurface(Method):
    """Range along viewing rays, the rays, and the motion between the views.

    The template of the rays and its mask are buffers of the depth network, and so lie in its file.
    """

    depth_networks = ("depth",)

    def __init__(self, options: RaySurfaceOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.sources: list[int] = [int(frame) for frame in options.frames[1:]]
        self.shared = options.ray_residual == "shared"
        size = options.height, options.width
        self.depth = RaySurfaceResNet(options.num_layers, size, masked=True, shared=self.shared)
        if not options.known_poses:
            self.pose_networks = ("pose",)
            self.pose = PoseResNet(options.pose_num_layers)
        self.has_rays = not options.range_as_depth
        self.masked, self.spacing = False, 0.0
        for parameter in self.depth.ray_surf.parameters():
            parameter.stop_gradient = not options.learn_rays

    def networks(self) -> dict[str, nn.Layer]:
        """depth, with its rays; pose, where the motion is not known."""
        return {name: getattr(self, name) for name in (*self.depth_networks, *self.pose_networks)}

    def parameter_groups(self) -> list[dict]:
        """One of each network; what is added to the template is not trained where the template is the camera."""
        decays = {"depth": self.options.depth_weight_decay, "pose": self.options.pose_weight_decay}
        return [
            {"params": [parameter for parameter in network.parameters() if not parameter.stop_gradient]}
            | ({"weight_decay": decays[name]} if decays[name] > 0 else {})
            for name, network in self.networks().items()
        ]

    def scalars(self) -> dict[str, dict[str, float]]:
        """The progress, which rays and temperature follow."""
        return {"depth": {"progress": self.progress}}

    def complete(
        self, numbers: Mapping[str, Mapping[str, float]] | None = None, beginning: bool = False
    ) -> None:
        """Reads the template that the options name, where a training begins with it or the weights have none.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        options = self.options
        self.progress = float((numbers or {}).get("depth", {}).get("progress", self.progress))
        empty = not to_array(self.depth.ray_template).any()
        if empty and not options.template:
            raise UserError(
                "--template is missing: a file of make_rays.py, a camera model and its numbers, or dummy where the "
                "camera is unknown"
            )
        words = options.template
        if words and (empty or beginning):
            template = load_template(words, options.height, options.width, options.resize_template)
            for note in template.notes:
                print(note, file=sys.stderr)
            fill(self.depth.ray_template, template.rays)
            fill(self.depth.valid, 1.0 if template.valid is None else template.valid)
        self.masked = not to_array(self.depth.valid).all()
        rays = to_array(self.depth.ray_template)[0]
        self.spacing = median_spacing(rays, options.projection_downsample)

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, 1 / range, the `rays`, and `valid` where some have none."""
        found = self.depth(inputs["image"])
        predicted = {"disparity": found.disparities[0]}
        if self.has_rays:
            predicted["rays"] = self.rays(widen(found.ray_residual))
        if self.masked:
            predicted["valid"] = self.depth.valid.expand(inputs["image"].shape[0], -1, -1, -1)
        return predicted

    def rays(self, residual: Tensor) -> Tensor:
        """Unit rays (B, 3, H, W) of what is added to the template, by each image or by all together."""
        template = self.depth.ray_template
        added = self._mean(residual) if self.shared else residual
        return ray_surface(template, added, self.options.coefficient(self.progress))

    def _mean(self, residual: Tensor) -> Tensor:
        """In training that of the batch, afterwards the running one, as batch normalisation does; (B, 3, H, W)."""
        kept = self.depth.ray_mean
        if not self.training:
            return kept.expand(residual.shape)
        mean = residual.mean(axis=0, keepdim=True)
        kept.set_value(kept + MOMENTUM * (mean.detach().astype(kept.dtype) - kept))
        return mean.expand(residual.shape)

    def pose_frames(self) -> list[int]:
        """The target and its sources.

        Raises:
            UserError: the motion was known, so there is no pose network.
        """
        return [0, *self.sources] if self.pose_networks else super().pose_frames()

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) of the target and its sources → T_source_target (B, 4, 4) of each."""
        target, *sources = images
        return [motion(vector) for vector in self.pose(target, sources).unbind(axis=1)]

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """What the views say; see `core/datasets/sample.py` for the batch."""
        target = batch[image_key(0)]
        seen = [batch.get(augmented_key(frame), batch[image_key(frame)]) for frame in [0, *self.sources]]
        with autocast(self.options.precision, target.place):  # the networks alone
            found = self.depth(seen[0])
            vectors = self.pose(seen[0], seen[1:]) if self.pose_networks else None
        disparities = [widen(one) for one in found.disparities]
        if vectors is None:
            motions = [batch[motion_key(frame)] for frame in self.sources]
        else:
            motions = [motion(vector) for vector in widen(vectors).unbind(axis=1)]
        return self.losses_of(batch, disparities, widen(found.ray_residual), motions)

    def losses_of(
        self, batch: dict[str, Tensor], disparities: list[Tensor], residual: Tensor, motions: list[Tensor]
    ) -> Losses:
        """The losses of given network outputs.

        Args:
            batch: `image_<frame>_0`.
            disparities: 1 / range of four scales, (B, 1, H / 2^i, W / 2^i).
            residual: (B, 3, H, W), what is added to the template.
            motions: T_source_target (B, 4, 4) of each source.

        Returns:
            Weighted terms `photometric`, `smoothness`, whose sum is the loss; and detached maps `disparity`,
            `sigmoid_<scale>`, `warped_<frame>_0`, `automask_0`.
        """
        options, target = self.options, batch[image_key(0)]
        height, width = target.shape[2:]
        kept = [resize_nearest(one, height, width) for one in disparities[: options.num_scales]]
        settings = PhotometricSettings(
            options.ssim_loss_weight,
            options.clip_loss,
            options.photometric_reduce_op == "min",
            options.automask_loss,
            options.padding_mode,
        )
        photometric, errors, warped = ray_photometric_loss(
            kept,
            self.rays(residual),
            target,
            [batch[image_key(frame)] for frame in self.sources],
            motions,
            settings,
            self._projection(),
            self.depth.valid if self.masked else None,
        )
        terms = {"photometric": photometric}
        if options.smooth_loss_weight > 0:
            terms["smoothness"] = options.smooth_loss_weight * smoothness_loss(kept, target)
        maps = {f"sigmoid_{scale}": one.detach() / LARGEST_DISPARITY for scale, one in enumerate(disparities)}
        maps["disparity"] = disparities[0].detach()
        for frame, view in zip(self.sources, warped[0], strict=True):
            maps[f"warped_{frame}_0"] = view.detach()
        if settings.automask and settings.minimum:
            moving, still = (
                paddle.concat(errors[0][first::2], axis=1).detach().amin(axis=1) for first in (0, 1)
            )
            maps["automask_0"] = moving <= still
        return Losses(paddle.stack(list(terms.values())).sum(), terms, maps)

    def _projection(self) -> ProjectionSettings:
        options = self.options
        return ProjectionSettings(
            options.projection,
            options.patch_side,
            options.projection_downsample,
            options.temperature(self.progress, self.spacing),
            options.renormalise_rays,
            options.projection_chunk,
            options.mask_unseen,
        )


def fill(buffer: Tensor, numbers: object) -> None:
    """Copies an array, or one number, into a buffer."""
    buffer.set_value(np.broadcast_to(numbers, buffer.shape).astype(to_array(buffer).dtype))
