"""FeatDepth: depth from the views' images and from features of an autoencoder of images (Shu et al., ECCV 2020)."""

import paddle
from paddle import Tensor, nn

from backends.paddle import geometry
from backends.paddle.losses.feature_metric import (
    DepthSettings,
    Views,
    feature_metric_term,
    photometric_terms,
    smoothness_terms,
)
from backends.paddle.losses.reconstruction import reconstruction_terms
from backends.paddle.losses.second_order import regularization_terms
from backends.paddle.methods.base import Losses, Method
from backends.paddle.networks.axisangle_pose_decoder import AxisanglePoseDecoder
from backends.paddle.networks.classified_resnet import ClassifiedEncoder
from backends.paddle.networks.image_decoder import ImageDecoder
from backends.paddle.networks.residual_pooling_decoder import ResidualPoolingDecoder
from backends.paddle.tensors import Draw, autocast, draw, widen
from core.datasets.sample import augmented_key, image_key, motion_key
from core.options.methods.featdepth import DEPTH, POSE, FeatDepthOptions
from core.options.needs import Frame

Features = dict[Frame, Tensor]


class FeatDepth(Method):
    """Depth and the motion between the views; or the autoencoder whose features make them, alone or beside them."""

    def __init__(self, options: FeatDepthOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.settings = DepthSettings(
            options.min_depth,
            options.max_depth,
            options.masks,
            options.normalises,
            options.perception_weight,
            options.smoothness_weight,
            options.grid_align_corners,
        )
        self.depth_networks = tuple(name for name in DEPTH if name in options.parts)
        self.pose_networks = tuple(name for name in POSE if name in options.parts)
        if self.depth_networks:
            self.encoder = ClassifiedEncoder(options.num_layers)
            self.depth = ResidualPoolingDecoder(self.encoder.channels, options.dropout, draw)
        if self.pose_networks:
            self.pose_encoder = ClassifiedEncoder(options.pose_layers, images=2)
            self.pose = AxisanglePoseDecoder(self.pose_encoder.channels)
        if "extractor" in options.parts:
            self.extractor = ClassifiedEncoder(options.feature_layers, normalize=False)
            self._freeze_extractor()
        if options.has_autoencoder:
            self.image_encoder = ClassifiedEncoder(options.feature_layers, normalize=False)
            self.image_decoder = ImageDecoder(self.image_encoder.channels)

    def networks(self) -> dict[str, nn.Layer]:
        """Those that the model has, of encoder, depth, pose_encoder, pose, extractor, image_encoder, image_decoder."""
        return {name: getattr(self, name) for name in self.options.parts}

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, of half its size; the unit of depth is `options.metres_per_unit`."""
        return {"disparity": self._disparity(self.depth(self.encoder(inputs["image"]))[0])}

    def pose_frames(self) -> list[int]:
        """The target and the image that follows it.

        Raises:
            UserError: the model has no pose network.
        """
        return [0, 1] if self.pose_networks else super().pose_frames()

    def T_sources_target(self, images: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Images (B, 3, H, W) of the target and the one that follows → T_source_target (B, 4, 4)."""
        return [geometry.rigid_transform(*self._vectors(*map(self._seen_by_pose, images)))]

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """The terms of the model; see `core/datasets/sample.py` for the batch.

        In evaluation mode features are normalised by running values, of the extractor's first layer those that
        training left.

        Returns:
            Weighted terms whose sum is the loss: of depth `photometric/<scale>`, `smoothness/<scale>` and `feature`; of
            the autoencoder `reconstruction/<scale>` and `regularization/<feature>`. Detached maps of depth:
            `sigmoid_<scale>`, `disparity`, `warped_<frame>_0`, `automask_0`.
        """
        with autocast(self.options.precision, batch["K"].device):  # the networks alone
            sigmoids, vectors = self._views(batch) if self.depth_networks else ([], {})
            features, whole, images = self._features(batch)
        terms: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        if sigmoids:
            motions = {
                frame: geometry.rigid_transform(*map(widen, vector), invert=int(frame) < 0)
                for frame, vector in vectors.items()
            }
            wide = {frame: widen(feature) for frame, feature in features.items()}
            terms, maps = self.depth_terms(batch, [widen(one) for one in sigmoids], motions, wide)
        if images:
            terms |= self._autoencoder_terms(
                batch[image_key(0)], [widen(one) for one in whole], [widen(one) for one in images]
            )
        return Losses(paddle.stack(list(terms.values())).sum(), terms, maps)

    def depth_terms(
        self,
        batch: dict[str, Tensor],
        sigmoids: list[Tensor],
        motions: dict[Frame, Tensor],
        features: Features,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Terms and maps of given network outputs, see `losses`.

        Args:
            batch: `image_<frame>_0` and `K`; `T_stereo` where the other camera is a source.
            sigmoids: of the four scales, (B, 1, H / 2^(i+1), W / 2^(i+1)).
            motions: T_source_target (B, 4, 4) of the sources in time.
            features: (B, C, H / 2, W / 2) of every frame; none: there is no feature term.
        """
        sources = self.options.frames[1:]
        views = Views(
            batch[image_key(0)],
            [batch[image_key(frame)] for frame in sources],
            batch["K"],
            [batch[motion_key(frame)] if frame == "s" else motions[frame] for frame in sources],
        )
        noise = self._noise if self.training else None
        photometric = photometric_terms(sigmoids, views, self.settings, noise)
        terms = _numbered("photometric", photometric.terms)
        if features:
            others = [features[frame] for frame in sources]
            terms["feature"], _ = feature_metric_term(sigmoids[0], features[0], others, views, self.settings)
        terms |= _numbered("smoothness", smoothness_terms(sigmoids, views.target, self.settings))
        maps = {f"sigmoid_{scale}": sigmoid.detach() for scale, sigmoid in enumerate(sigmoids)}
        maps["disparity"] = self._disparity(sigmoids[0]).detach()
        for frame, view in zip(sources, photometric.warped, strict=True):
            maps[f"warped_{frame}_0"] = view.detach()
        if photometric.automask is not None:
            maps["automask_0"] = photometric.automask
        return terms, maps

    def _freeze_extractor(self) -> None:
        """Whole; or where it learns what no loss reaches, all behind its first layer."""
        if not self.options.train_extractor:
            self.extractor.freeze(self.options.extractor_batch_statistics)
            return
        for name, parameter in self.extractor.encoder.named_parameters():
            if not name.startswith(("conv1.", "bn1.")):
                parameter.stop_gradient = True

    def _views(self, batch: dict[str, Tensor]) -> tuple[list[Tensor], dict[Frame, tuple[Tensor, Tensor]]]:
        """Sigmoids, and axis-angle and translation between the target and each source in time, earlier image first."""
        times = [frame for frame in self.options.frames if frame != "s"]
        seen = {frame: batch.get(augmented_key(frame), batch[image_key(frame)]) for frame in times}
        sigmoids = self.depth(self.encoder(seen[0]))
        if not self.pose_networks:
            return sigmoids, {}
        small = {frame: self._seen_by_pose(image) for frame, image in seen.items()}
        pairs = {frame: sorted((0, int(frame))) for frame in times[1:]}
        return sigmoids, {
            frame: self._vectors(small[first], small[second]) for frame, (first, second) in pairs.items()
        }

    def _features(self, batch: dict[str, Tensor]) -> tuple[Features, list[Tensor], list[Tensor]]:
        """First features of all frames where they are compared; of an autoencoder all of the target, and its images.

        Each frame passes once, by itself: batch normalisation goes by the frame, and only the first layer is needed.
        """
        frames = self.options.frames if self.depth_networks and self.settings.perception_weight > 0 else []
        whole, images = [], []
        if self.options.has_autoencoder:
            whole = self.image_encoder(batch[image_key(0)])
            images = self.image_decoder(whole)
        elif "extractor" not in self.options.parts:
            return {}, [], []
        network = self.image_encoder if whole else self.extractor
        features = {
            frame: whole[0] if whole and frame == 0 else network.stem(batch[image_key(frame)])
            for frame in frames
        }
        return features, whole, images

    def _autoencoder_terms(
        self, target: Tensor, features: list[Tensor], images: list[Tensor]
    ) -> dict[str, Tensor]:
        """What the images differ by, and the shape of the features; beside depth no target was resized twice."""
        cumulative = self.options.cumulative_target_resize and not self.depth_networks
        shape = regularization_terms(features, target, self.options.dis, self.options.cvt)
        return _numbered("reconstruction", reconstruction_terms(images, target, cumulative)) | _numbered(
            "regularization", shape
        )

    def _seen_by_pose(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) → of the one size that the pose network sees."""
        if image.dtype != paddle.float64:
            return geometry.resize(image, *self.options.pose_size)
        # Written out: the kernel computes positions in single precision, also of tensors in double.
        for axis, size in zip((2, 3), self.options.pose_size, strict=True):
            length = image.shape[axis]
            position = (paddle.arange(size, dtype="float64") + 0.5) * (length / size) - 0.5
            position = paddle.clip(position, 0, length - 1)
            first = paddle.clip(position.astype("int64"), 0, max(length - 2, 0))
            share = (position - first.astype("float64")).reshape([-1, 1] if axis == 2 else [-1])
            start = paddle.index_select(image, first, axis=axis)
            end = paddle.index_select(image, paddle.clip(first + 1, max=length - 1), axis=axis)
            image = start + (end - start) * share
        return image

    def _vectors(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Two images (B, 3, h, w) in the order of time → axis-angle, translation (B, 3) of T_second_first."""
        return self.pose(self.pose_encoder(paddle.concat([first, second], axis=1)))

    def _disparity(self, sigmoid: Tensor) -> Tensor:
        return geometry.sigmoid_to_depth(sigmoid, self.options.min_depth, self.options.max_depth)[0]

    def _noise(self, like: Tensor, scale: int) -> Tensor:
        """N(0, 1), drawn anew for every scale."""
        return self.draw(f"noise/{scale}", tuple(like.shape), "normal").astype(like.dtype)


def _numbered(kind: str, parts: list[Tensor]) -> dict[str, Tensor]:
    return {f"{kind}/{number}": part for number, part in enumerate(parts)}
