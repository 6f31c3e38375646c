"""Monodepth2: minimum reprojection, auto-masking, full-resolution multi-scale (Godard et al., ICCV 2019)."""

from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn

from backends.paddle import geometry
from backends.paddle.losses.hints import (
    HINT,
    IDENTITY,
    hint_error,
    log_difference,
    masked_mean,
    winners,
)
from backends.paddle.losses.means import mean_of_all
from backends.paddle.losses.photometric import PhotometricError
from backends.paddle.losses.reprojection import mask_prior, minimum_error
from backends.paddle.losses.smoothness import normalize_by_mean, smoothness_loss
from backends.paddle.methods.base import Losses, Method
from backends.paddle.networks.depth_decoder import DepthDecoder
from backends.paddle.networks.pose_cnn import PoseCNN
from backends.paddle.networks.pose_decoder import PoseDecoder
from backends.paddle.networks.resnet import ResNetEncoder
from backends.paddle.tensors import Draw, autocast, draw, widen
from core.datasets.sample import motion_key
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.mixins import HINT as HINT_KEY

AUTOMASK_NOISE = 1e-5


@dataclass
class Pose:
    """A predicted motion, (B, 3) each, and whether T_source_target is its inverse."""

    axisangle: Tensor
    translation: Tensor
    invert: bool

    def transform(self, translation_factor: Tensor | float = 1.0) -> Tensor:
        """T_source_target, (B, 4, 4), with the translation multiplied by (B, 1) or a number."""
        axisangle, translation = widen(self.axisangle), widen(self.translation)
        return geometry.rigid_transform(axisangle, translation * translation_factor, self.invert)


class Monodepth2(Method):
    """Depth and pose networks trained by view synthesis from video, from stereo, or from both."""

    depth_networks = ("encoder", "depth")

    def __init__(self, options: Monodepth2Options, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.times: list[int] = list(options.frame_ids)
        self.sources: list[int | str] = options.frames[1:]
        self.encoder = ResNetEncoder(options.num_layers)
        self.depth = DepthDecoder(self.encoder.channels, options.scales)
        self.predictive_mask = (
            DepthDecoder(self.encoder.channels, options.scales, len(self.sources))
            if options.predictive_mask
            else None
        )
        self.pose_encoder, self.pose = self._pose_networks()
        self.pose_networks = tuple(
            name for name in ("pose_encoder", "pose") if getattr(self, name) is not None
        )

    def _pose_networks(self) -> tuple[nn.Layer | None, nn.Layer | None]:
        options, frames = self.options, len(self.times)
        if frames == 1 or options.known_poses:  # frames == 1: only the other camera, whose pose is known
            return None, None
        images = 2 if options.pose_model_input == "pairs" else frames
        if options.pose_model_type == "posecnn":
            return None, PoseCNN(images)
        if options.pose_model_type == "shared":
            return None, PoseDecoder(self.encoder.channels[-1], inputs=images, poses=images - 1)
        # Pairs predict two motions, of which the first is used: the official files have both.
        poses = 2 if options.pose_model_input == "pairs" else frames - 1
        encoder = ResNetEncoder(options.num_layers, images)
        return encoder, PoseDecoder(encoder.channels[-1], inputs=1, poses=poses)

    def networks(self) -> dict[str, nn.Layer]:
        """encoder, depth, pose_encoder, pose, predictive_mask: those the options ask for."""
        names = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, at the finest scale. If metric, the unit of depth is 10 baselines: 5.4 m on KITTI."""
        sigmoids = self.depth(self.encoder(inputs["image"]))
        return {"disparity": self._range(sigmoids[min(sigmoids)])[0]}

    def pose_frames(self) -> list[int]:
        """Offsets in time of the images that the pose network sees at once, the target 0 first.

        Raises:
            UserError: the model has no pose network.
        """
        if self.pose is None:
            kind = "with known poses" if self.options.known_poses else "on stereo pairs alone"
            raise UserError(f"no pose network: a model trained {kind} cannot tell the camera's motion")
        return self.times if self.options.pose_model_input == "all" else [0, 1]

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) in the order of `pose_frames()` → T_source_target (B, 4, 4) of each source.

        The translation is the network's own; PoseCNN's is multiplied by the mean disparity only when warping.
        """
        if self.pose_frames() == [0, 1]:
            target, following = images
            return [self._pair_pose(target, following, None, None, invert=False).transform()]
        shared = self.options.pose_model_type == "shared"
        features = [self.encoder(image) for image in images] if shared else []
        return [pose.transform() for pose in self._joint_poses(images, features)]

    def scalars(self) -> dict[str, dict[str, Any]]:
        """As the official encoder files have them."""
        options = self.options
        numbers = {"height": options.height, "width": options.width, "use_stereo": options.use_stereo}
        return {"encoder": numbers}

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """Photometric, smoothness and mask terms of every scale; see `core/datasets/sample.py` for the batch."""
        with autocast(self.options.precision, batch["K"].place):  # the networks alone
            features = self._features(batch)
            sigmoids = self.depth(features[0])
            masks = None if self.predictive_mask is None else self.predictive_mask(features[0])
            poses = self.poses(batch, features)
        sigmoids = {scale: widen(sigmoid) for scale, sigmoid in sigmoids.items()}
        masks = None if masks is None else {scale: widen(mask) for scale, mask in masks.items()}
        return self.synthesis_losses(batch, sigmoids, poses, masks)

    def _features(self, batch: dict[str, Tensor]) -> dict[int | str, list[Tensor]]:
        """Depth-encoder features of frame 0, or of all frames in one pass when the pose network shares them."""
        if self.options.pose_model_type != "shared" or self.pose is None:
            return {0: self.encoder(batch["augmented_0"])}
        frames = [0, *self.sources]
        pyramid = self.encoder(paddle.concat([batch[f"augmented_{frame}"] for frame in frames]))
        parts = [level.chunk(len(frames)) for level in pyramid]
        return {frame: [part[i] for part in parts] for i, frame in enumerate(frames)}

    def poses(self, batch: dict[str, Tensor], features: dict[int | str, list[Tensor]]) -> dict[int, Pose]:
        """The predicted motion of every source in time; none where all motions are known."""
        if self.pose is None:
            return {}
        if self.options.pose_model_input == "all":
            images = [batch[f"augmented_{frame}"] for frame in self.times]
            joint = self._joint_poses(images, [features[frame] for frame in self.times if frame in features])
            return dict(zip(self.times[1:], joint, strict=True))
        poses = {}
        for frame in self.times[1:]:
            # In temporal order, so that the network always sees forward motion.
            first, second = (frame, 0) if frame < 0 else (0, frame)
            poses[frame] = self._pair_pose(
                batch[f"augmented_{first}"],
                batch[f"augmented_{second}"],
                features.get(first),
                features.get(second),
                invert=frame < 0,
            )
        return poses

    def _pair_pose(
        self,
        first: Tensor,
        second: Tensor,
        first_features: list[Tensor] | None,
        second_features: list[Tensor] | None,
        invert: bool,
    ) -> Pose:
        """Motion between two images in temporal order; features are those of the shared encoder, computed if None."""
        if self.options.pose_model_type == "posecnn":
            axisangle, translation = self.pose(paddle.concat([first, second], axis=1))
        elif self.options.pose_model_type == "shared":
            pyramids = [first_features or self.encoder(first), second_features or self.encoder(second)]
            axisangle, translation = self.pose(pyramids)
        else:
            axisangle, translation = self.pose([self.pose_encoder(paddle.concat([first, second], axis=1))])
        return Pose(axisangle[:, 0, 0], translation[:, 0, 0], invert)

    def _joint_poses(self, images: list[Tensor], features: list[list[Tensor]]) -> list[Pose]:
        """All frames at once, in the order of `frame_ids`: pose i belongs to `frame_ids[1 + i]`, never inverted.

        Features are those of the shared encoder, needed by it alone.
        """
        if self.options.pose_model_type == "shared":
            axisangle, translation = self.pose(features)
        else:
            stacked = paddle.concat(images, axis=1)
            axisangle, translation = self.pose(
                stacked if self.pose_encoder is None else [self.pose_encoder(stacked)]
            )
        return [
            Pose(axisangle[:, i, 0], translation[:, i, 0], invert=False) for i in range(len(self.times) - 1)
        ]

    def synthesis_losses(
        self,
        batch: dict[str, Tensor],
        sigmoids: dict[int, Tensor],
        poses: dict[int, Pose],
        masks: dict[int, Tensor] | None,
    ) -> Losses:
        """The losses of given network outputs.

        Args:
            batch: images, `K`, `T_stereo`, known poses; see `core/datasets/sample.py`.
            sigmoids: {scale: (B, 1, H / 2^scale, W / 2^scale)}.
            poses: predicted motion of every source in time, {} where the batch has it.
            masks: {scale: (B, sources, H / 2^scale, W / 2^scale)} of the predictive mask, or None.

        Returns:
            Weighted terms `photometric/{scale}`, `hint/{scale}`, `smoothness/{scale}`, `mask/{scale}`, whose sum is the
            loss; and detached maps `disparity`, `sigmoid_{scale}`, `reprojection_{scale}`, `identity_{scale}` (without
            noise), `automask_{scale}`, `predictive_mask_{source}_{scale}`, `warped_{source}_0`.
        """
        options = self.options
        terms, maps = {}, {}
        share = 1 / len(options.scales)
        error = identity = hinted = None
        for scale in options.scales:
            size = scale if options.v1_multiscale else 0
            if error is None or options.v1_multiscale:
                error = PhotometricError(batch[f"image_0_{size}"], ssim=not options.no_ssim)
                identity = None if options.disable_automasking else self._identity_errors(batch, error, size)
                hinted = self._hint_errors(batch, error)
            warped = self._warped(batch, sigmoids[scale], poses, size)
            reprojection = paddle.concat([error(view) for view in warped.values()], axis=1)
            maps[f"reprojection_{scale}"] = reprojection.detach()
            if masks is not None:
                mask = geometry.resize(masks[scale], *reprojection.shape[2:])
                reprojection = reprojection * mask
                terms[f"mask/{scale}"] = share * mask_prior(mask)
            if hinted is None:
                minimum, automask = minimum_error(*self._candidates(reprojection, identity, scale))
                terms[f"photometric/{scale}"] = share * mean_of_all(minimum)
            else:
                candidates = self._candidates(reprojection, identity, scale)
                depth = self._range(geometry.resize(sigmoids[scale], *hinted.shape[2:]))[1]
                photometric, hint, automask = hinted_terms(*candidates, hinted, batch[HINT_KEY], depth)
                terms |= {f"photometric/{scale}": share * photometric, f"hint/{scale}": share * hint}
            smoothness = smoothness_loss(normalize_by_mean(sigmoids[scale]), batch[f"image_0_{scale}"])
            terms[f"smoothness/{scale}"] = share * options.disparity_smoothness / 2**scale * smoothness

            maps[f"sigmoid_{scale}"] = sigmoids[scale].detach()
            if masks is not None:
                for i, frame in enumerate(self.sources):
                    maps[f"predictive_mask_{frame}_{scale}"] = masks[scale][:, i].detach()
            if identity is not None:
                maps[f"identity_{scale}"] = identity
            if automask is not None:
                maps[f"automask_{scale}"] = automask
            if scale == 0:
                maps["disparity"] = self._range(sigmoids[0].detach())[0]
                maps |= {f"warped_{frame}_0": view.detach() for frame, view in warped.items()}
        return Losses(paddle.stack(list(terms.values())).sum(), terms, maps)

    def _range(self, sigmoid: Tensor) -> tuple[Tensor, Tensor]:
        return geometry.sigmoid_to_depth(sigmoid, self.options.min_depth, self.options.max_depth)

    def _identity_errors(self, batch: dict[str, Tensor], error: PhotometricError, size: int) -> Tensor:
        """Errors of the unwarped sources, (B, sources, H, W): what a camera that stands still would see."""
        with paddle.no_grad():
            return paddle.concat([error(batch[f"image_{frame}_{size}"]) for frame in self.sources], axis=1)

    def _warped(
        self, batch: dict[str, Tensor], sigmoid: Tensor, poses: dict[int, Pose], size: int
    ) -> dict[int | str, Tensor]:
        """Every source sampled where the target's pixels lie in it, at the resolution of scale `size`."""
        target = batch["image_0_0"]
        height, width = target.shape[2] // 2**size, target.shape[3] // 2**size
        disparity, depth = self._range(geometry.resize(sigmoid, height, width))
        K = geometry.intrinsics_at_scale(batch["K"], size, *target.shape[2:])
        points = geometry.backproject(depth, K)
        # SfMLearner's pose network: its translation is in units of the mean disparity of the scale being warped.
        posecnn = self.options.pose_model_type == "posecnn"
        factor = disparity.mean(axis=3).mean(axis=2) if posecnn else 1.0
        warped = {}
        for frame in self.sources:
            predicted = poses.get(frame)
            T_source_target = predicted.transform(factor) if predicted else batch[motion_key(frame)]
            warped[frame] = geometry.warp_points(
                batch[f"image_{frame}_{size}"],
                points,
                K,
                T_source_target,
                align_corners=not self.options.warp_align_corners_false,
            )
        return warped

    def _candidates(
        self, reprojection: Tensor, identity: Tensor | None, scale: int
    ) -> tuple[Tensor, Tensor | None]:
        """Errors, of which the least counts: their mean over the sources if asked, then noise on those of identity."""
        if self.options.avg_reprojection:
            reprojection = reprojection.mean(axis=1, keepdim=True)
            identity = None if identity is None else identity.mean(axis=1, keepdim=True)
        if identity is not None:
            identity = identity + AUTOMASK_NOISE * self._noise(identity, scale)
        return reprojection, identity

    def _hint_errors(self, batch: dict[str, Tensor], error: PhotometricError) -> Tensor | None:
        """Errors (B, 1, H, W) of the other camera's image warped by the hints; None without, as in a validation."""
        if not self.options.use_depth_hints or (HINT_KEY not in batch and not self.training):
            return None
        hint, align_corners = batch[HINT_KEY], not self.options.warp_align_corners_false
        with paddle.no_grad():
            warped = geometry.warp(batch["image_s_0"], hint, batch["K"], batch["T_stereo"], align_corners)
            return hint_error(error(warped), hint)

    def _noise(self, like: Tensor, scale: int) -> Tensor:
        """N(0, 1) of the shape of `like`, drawn anew at every scale: breaks ties of identity errors.

        Zeros in evaluation mode, so that validation leaves the random numbers of training alone.
        """
        if not self.training:
            return like * 0
        return self.draw(f"noise/{scale}", tuple(like.shape), "normal").astype(like.dtype)


def hinted_terms(
    reprojection: Tensor, identity: Tensor | None, hinted: Tensor, hint: Tensor, depth: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The photometric and the hint term of a scale (Watson et al. 2019, section 3.2), and the auto-mask.

    A pixel that moves no more than its surroundings counts in neither; one that the hint explains best, in both.

    Args:
        reprojection, identity: (B, N, H, W) errors of the sources warped, and as they are with noise; None: no
            auto-masking.
        hinted: (B, 1, H, W), see `hint_error`.
        hint, depth: (B, 1, H, W), predicted depth at the size of the hint.

    Returns:
        Two scalars, and (B, H, W), true where identity does not win; None without it.
    """
    best = minimum_error(reprojection, None)[0].unsqueeze(1)
    still = None if identity is None else minimum_error(identity, None)[0].unsqueeze(1)
    winner = winners(best, still, hinted)
    photometric = masked_mean(best, winner != IDENTITY)
    taught = masked_mean(log_difference(hint, depth), (winner == HINT) & (hint > 0))
    return photometric, taught, None if still is None else (winner != IDENTITY)[:, 0]
