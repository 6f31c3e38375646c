"""SC-Depth: depth and ego-motion whose scale stays the same over a video (Bian et al., NeurIPS 2019, IJCV 2021)."""

import torch
from torch import Tensor, nn

from backends.torch import geometry
from backends.torch.losses.consistency import Maps, Switches, View, pair_maps, pair_terms
from backends.torch.losses.smoothness import normalize_by_mean, smoothness_loss
from backends.torch.methods.base import Losses, Method
from backends.torch.networks.bilinear_depth_decoder import BilinearDepthDecoder
from backends.torch.networks.layers import normalise_by_groups
from backends.torch.networks.mean_pose_decoder import MeanPoseDecoder
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import Draw, autocast, draw, widen
from core.options.methods.sc_depth import SCDepthOptions

SLOPE, OFFSET = 10.0, 0.01  # disparity = SLOPE · sigmoid + OFFSET
MEAN, DEVIATION = 0.45, 0.225  # of the images that the losses see


class SCDepth(Method):
    """Depth whose two values for a point, from two views, must agree; and the motion between the views."""

    depth_networks = ("encoder", "depth")
    pose_networks = ("pose_encoder", "pose")

    def __init__(self, options: SCDepthOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.sources: list[int] = [int(frame) for frame in options.frames[1:]]
        self.encoder = ResNetEncoder(options.num_layers)
        self.depth = BilinearDepthDecoder(self.encoder.channels)
        for head in self.depth.dispconvs[1:]:  # no loss reaches the coarser scales
            for parameter in head.parameters():
                parameter.requires_grad_(False)
        self.pose_encoder = ResNetEncoder(options.pose_layers, images=2)
        self.pose = MeanPoseDecoder(self.pose_encoder.channels)
        # A training step asks for all depths at once, and for all motions; each is normalised as if it came alone.
        normalise_by_groups(self.encoder, 1 + len(self.sources))
        normalise_by_groups(self.pose_encoder, 2 * len(self.sources))

    def networks(self) -> dict[str, nn.Module]:
        """encoder, depth, pose_encoder, pose."""
        return {name: getattr(self, name) for name in (*self.depth_networks, *self.pose_networks)}

    def parameter_groups(self) -> list[dict]:
        """Depth, and pose; without the heads of the coarser scales."""
        networks = self.networks()
        return [
            {"params": [p for name in names for p in networks[name].parameters() if p.requires_grad]}
            for names in (self.depth_networks, self.pose_networks)
        ]

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, from 0.01 to 10.01, up to one scale."""
        return {"disparity": self._disparity(inputs["image"])}

    def pose_frames(self) -> list[int]:
        """The target and the image that follows it."""
        return [0, 1]

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) of the target and a source → T_source_target (B, 4, 4)."""
        target, source = images
        return [pose_transform(self.motion(target, source))]

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """Photometric, geometry and smoothness terms; see `core/datasets/sample.py` for the batch."""
        images = {frame: batch[f"image_{frame}_0"] for frame in (0, *self.sources)}
        target, sources = images[0], [images[frame] for frame in self.sources]
        # First the motions from the target, then those back: one is not taken for the inverse of the other.
        targets = torch.cat([target] * len(sources))
        targets_first, sources_first = torch.cat([targets, *sources]), torch.cat([*sources, targets])
        with autocast(self.options.precision, batch["K"].device):  # the networks alone
            found = self._disparity(torch.cat([target, *sources]))
            vectors = self.motion(targets_first, sources_first)
        disparities = widen(found).chunk(1 + len(sources))
        depths = {frame: 1 / disparity for frame, disparity in zip(images, disparities, strict=True)}
        T = pose_transform(widen(vectors)).chunk(2 * len(sources))
        motions = dict(zip(self.sources, zip(T[: len(sources)], T[len(sources) :], strict=True), strict=True))
        losses = consistency_losses(self.options, images, depths, motions, batch["K"])
        disparity = disparities[0].detach()
        losses.maps |= {"disparity": disparity, "sigmoid_0": (disparity - OFFSET) / SLOPE}
        return losses

    def _disparity(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, 1, H, W)."""
        return SLOPE * self.depth(self.encoder(image)) + OFFSET

    def motion(self, first: Tensor, second: Tensor) -> Tensor:
        """Two images (B, 3, H, W) → the network's six numbers (B, 6), which make T_second_first."""
        return self.pose(self.pose_encoder(torch.cat([first, second], dim=1)))


def consistency_losses(
    options: SCDepthOptions,
    images: dict[int, Tensor],
    depths: dict[int, Tensor],
    motions: dict[int, tuple[Tensor, Tensor]],
    K: Tensor,
) -> Losses:
    """The losses of given network outputs.

    Args:
        options: whose weights and switches count.
        images, depths: of the target 0 and of the sources, (B, 3, H, W) in [0, 1] and (B, 1, H, W).
        motions: T_source_target and T_target_source, (B, 4, 4) each, of every source.
        K: (B, 3, 3), pixels.
    """
    switches = Switches.of(options)
    views = {
        frame: View.of((image - MEAN) / DEVIATION, depths[frame], switches.ssim)
        for frame, image in images.items()
    }
    target = warped_back = views[0]
    if options.reverse_pair == "depth":
        warped_back = View(target.depth.expand_as(target.image), target.depth)
    pairs: dict[int, list[Maps]] = {}
    for frame, (T_source_target, T_target_source) in motions.items():
        pairs[frame] = [
            pair_maps(target, views[frame], T_source_target, K, switches),
            pair_maps(views[frame], warped_back, T_target_source, K, switches),
        ]
    photometric, geometric = pair_terms([pair for both in pairs.values() for pair in both], switches)
    smoothness = smoothness_loss(normalize_by_mean(target.depth), target.image)
    terms = {
        "photometric": options.photometric_weight * photometric,
        "geometry": options.geometry_weight * geometric,
        "smoothness": options.smoothness_weight * smoothness,
    }
    maps = {}
    for frame, (pair, _) in pairs.items():
        maps[f"warped_{frame}_0"] = DEVIATION * pair.warped.image.detach() + MEAN
        maps[f"automask_{frame}"] = pair.valid[:, 0]
    return Losses(torch.stack(list(terms.values())).sum(), terms, maps)


def pose_transform(vector: Tensor) -> Tensor:
    """(B, 6) translation and angles about x, y, z → T = [Rx · Ry · Rz | t], (B, 4, 4)."""
    return geometry.transform(geometry.euler_rotation(vector[:, 3:]), vector[:, :3, None])
