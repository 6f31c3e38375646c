"""PackNet: depth by packing, from views, measured speed or measured depth (Guizilini et al., CVPR 2020, CoRL 2019)."""

import torch
from torch import Tensor, nn

from backends.torch.losses.multiscale import (
    PhotometricSettings,
    photometric_loss,
    scales_in_use,
    smoothness_loss,
)
from backends.torch.losses.supervised import supervised_loss
from backends.torch.losses.velocity import velocity_loss
from backends.torch.losses.view_synthesis import motion, resize_nearest, true_disparity
from backends.torch.methods.base import Losses, Method
from backends.torch.networks.depth_resnet import LARGEST_DISPARITY as LARGEST_OF_RESNET
from backends.torch.networks.depth_resnet import DepthResNet
from backends.torch.networks.group_pose_net import GroupPoseNet
from backends.torch.networks.packing import LARGEST_DISPARITY
from backends.torch.networks.packnet import PackNet as PackNetDepth
from backends.torch.networks.pose_resnet import PoseResNet
from backends.torch.tensors import Draw, autocast, draw, widen
from core.datasets.sample import augmented_key, image_key, motion_key
from core.options.methods.packnet import RESNETS, PackNetOptions


class PackNet(Method):
    """Depth in metres where anything measured teaches, and the motion between the views where they are compared."""

    depth_networks = ("depth",)

    def __init__(self, options: PackNetOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.sources: list[int] = [int(frame) for frame in options.frames[1:]]
        self.depth, self.largest = self._depth_network()
        if options.has_views:
            self.pose_networks = ("pose",)
            self.pose: nn.Module
            if options.pose_network in RESNETS:
                self.pose = PoseResNet(RESNETS[options.pose_network])
            else:
                self.pose = GroupPoseNet(len(self.sources))

    def _depth_network(self) -> tuple[nn.Module, float]:
        """With fresh weights, and its largest disparity."""
        options = self.options
        if options.depth_network in RESNETS:
            return DepthResNet(RESNETS[options.depth_network]), LARGEST_OF_RESNET
        network = PackNetDepth(*options.widths, options.concatenate, options.dropout, self.draw)
        network.fuse_packing(options.fused_packing)
        return network, LARGEST_DISPARITY

    def networks(self) -> dict[str, nn.Module]:
        """depth; pose where views are compared."""
        return {name: getattr(self, name) for name in (*self.depth_networks, *self.pose_networks)}

    def parameter_groups(self) -> list[dict]:
        """One of each network."""
        decays = {"depth": self.options.depth_weight_decay, "pose": self.options.pose_weight_decay}
        return [
            {"params": list(network.parameters())}
            | ({"weight_decay": decays[name]} if decays[name] > 0 else {})
            for name, network in self.networks().items()
        ]

    def scalars(self) -> dict[str, dict[str, float]]:
        """The progress, where the number of scales follows from it."""
        return {"depth": {"progress": self.progress}} if self.options.progressive_scaling > 0 else {}

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, 1 / m where anything measured taught."""
        return {"disparity": self.depth.disparity(inputs["image"])}

    def pose_frames(self) -> list[int]:
        """The target and its sources.

        Raises:
            UserError: measured depth alone taught, so there is no pose network.
        """
        return [0, *self.sources] if self.pose_networks else super().pose_frames()

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) of the target and its sources → T_source_target (B, 4, 4) of each."""
        target, *sources = images
        return self._motions(self.pose(target, sources))

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """What views, measured speed and measured depth say; see `core/datasets/sample.py` for the batch."""
        seen, flip = self._seen(batch), self._flip()
        with autocast(self.options.precision, seen[0].device):  # the networks alone
            found = self.depth(seen[0] if flip is None else mirrored(seen[0], flip))
            vectors = self.pose(seen[0], seen[1:]) if self.pose_networks else None
        disparities = [widen(one) if flip is None else mirrored(widen(one), flip) for one in found]
        motions = [] if vectors is None else self._motions(widen(vectors))
        return self.losses_of(batch, disparities, motions)

    def _seen(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """The images that the networks see: of the target, and of its sources where views are compared."""
        frames = [0, *self.sources] if self.pose_networks else [0]
        return [batch.get(augmented_key(frame), batch[image_key(frame)]) for frame in frames]

    def losses_of(self, batch: dict[str, Tensor], disparities: list[Tensor], motions: list[Tensor]) -> Losses:
        """The losses of given network outputs.

        Args:
            batch: `image_<frame>_0` and `K` where views are compared; `T_<frame>`, metres, where speed teaches, and
                `depth`, metres, where depth does: both may be absent in evaluation.
            disparities: of four scales, (B, 1, H / 2^i, W / 2^i).
            motions: T_source_target (B, 4, 4) of each source; none where no views are compared.

        Returns:
            Weighted terms `photometric`, `smoothness`, `velocity`, `supervised`, those that the options ask for,
            whose sum is the loss, and `valid`, how many pixels measured depth taught at; and detached maps
            `disparity`, `sigmoid_<scale>`, `warped_<frame>_0`, `automask_0`.
        """
        share, sized = self.options.supervised_share, self._sized(batch, disparities)
        terms: dict[str, Tensor] = {}
        maps = {f"sigmoid_{scale}": one.detach() / self.largest for scale, one in enumerate(disparities)}
        maps["disparity"] = disparities[0].detach()
        if motions:
            of_views, shown = self._view_terms(batch, sized, motions)
            terms = {name: (1 - share) * term for name, term in of_views.items()}
            maps |= shown
        if self._is_taught(batch):
            taught, valid = self._supervised(batch, sized)
            terms["supervised"] = share * taught
        loss = torch.stack(list(terms.values())).sum()
        if "supervised" in terms:
            terms["valid"] = valid.to(loss.dtype)
        return Losses(loss, terms, maps)

    def _sized(self, batch: dict[str, Tensor], disparities: list[Tensor]) -> list[Tensor]:
        """The disparities as the losses take them."""
        if not self.options.upsample_depth_maps:
            return disparities
        return [resize_nearest(one, *batch[image_key(0)].shape[2:]) for one in disparities]

    def _is_taught(self, batch: dict[str, Tensor]) -> bool:
        """Whether measured depth teaches; it may be absent in evaluation."""
        return self.options.supervised_share > 0 and (self.training or "depth" in batch)

    def _supervised(self, batch: dict[str, Tensor], sized: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The supervised loss of disparities, and at how many pixels."""
        truth = true_disparity(batch["depth"])
        return supervised_loss(
            sized, truth, self.options.supervised_method, self.options.supervised_num_scales
        )

    def _view_terms(
        self, batch: dict[str, Tensor], disparities: list[Tensor], motions: list[Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weighted terms of the views and of the speed between them, and maps for pictures."""
        options, target = self.options, batch[image_key(0)]
        kept = disparities[: scales_in_use(self.progress, options.progressive_scaling, options.num_scales)]
        settings = PhotometricSettings(
            options.ssim_loss_weight,
            options.clip_loss,
            options.photometric_reduce_op == "min",
            options.automask_loss,
            options.padding_mode,
        )
        sources = [batch[image_key(frame)] for frame in self.sources]
        photometric, errors, warped = photometric_loss(kept, target, sources, batch["K"], motions, settings)
        terms = {"photometric": photometric}
        if options.smooth_loss_weight > 0:
            terms["smoothness"] = options.smooth_loss_weight * smoothness_loss(kept, target)
        if options.supervision == "velocity" and (self.training or motion_key(self.sources[0]) in batch):
            true = [batch[motion_key(frame)] for frame in self.sources]
            terms["velocity"] = options.velocity_loss_weight * velocity_loss(motions, true)
        maps = {
            f"warped_{frame}_0": view.detach() for frame, view in zip(self.sources, warped[0], strict=True)
        }
        if settings.automask and settings.minimum:
            moving, still = (torch.cat(errors[0][first::2], dim=1).detach().amin(dim=1) for first in (0, 1))
            maps["automask_0"] = moving <= still
        return terms, maps

    def _motions(self, vectors: Tensor) -> list[Tensor]:
        """(B, sources, 6) → T_source_target (B, 4, 4) of each."""
        return [motion(vector) for vector in vectors.unbind(dim=1)]

    def _flip(self) -> Tensor | None:
        """(1,) whether the depth network sees the mirrored batch; None where it never does."""
        if not self.training or self.options.flip_probability == 0:
            return None
        return self.draw("flip", (1,), "uniform") < self.options.flip_probability


def mirrored(x: Tensor, wanted: Tensor) -> Tensor:
    """(B, C, H, W), left and right exchanged where that is wanted, (1,)."""
    return torch.where(wanted, x.flip(3), x)
