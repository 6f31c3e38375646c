"""EPCDepth: data grafting, a full-scale decoder, self-distillation and depth hints (Peng et al., ICCV 2021)."""

import paddle
from paddle import Tensor, nn

from backends.paddle import geometry
from backends.paddle.losses.distillation import distillation_loss, selected_label
from backends.paddle.losses.hints import (
    HINT,
    IDENTITY,
    hint_error,
    log_difference,
    masked_mean,
    winners,
)
from backends.paddle.losses.photometric import PhotometricError
from backends.paddle.losses.smoothness import normalize_by_mean, smoothness_loss
from backends.paddle.methods.base import Losses, Method
from backends.paddle.networks.full_scale_decoder import FullScaleDecoder
from backends.paddle.networks.plain_depth_decoder import PlainDepthDecoder
from backends.paddle.networks.resnet import ResNetEncoder
from backends.paddle.tensors import Draw, autocast, draw, widen
from core.options.methods.epcdepth import EPCDepthOptions
from core.options.mixins import HINT as HINT_KEY

AUTOMASK_NOISE = 1e-5
GRAFT_RATIOS = (0.0, 0.2, 0.4, 0.6, 0.8)
GRAFTED = ("image_0_0", "augmented_0", "image_s_0", HINT_KEY)
DECODER_OUTPUTS = 5  # of the full-scale decoder; those of the encoder follow


class EPCDepth(Method):
    """Depth from rectified stereo pairs."""

    depth_networks = ("encoder", "depth")

    def __init__(self, options: EPCDepthOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        self.encoder = ResNetEncoder(options.num_layers)
        channels = self.encoder.channels
        if options.use_full_scale:
            self.depth = FullScaleDecoder(channels, options.padding)
        else:
            self.depth = PlainDepthDecoder(channels)

    def networks(self) -> dict[str, nn.Layer]:
        """encoder, depth."""
        return {name: getattr(self, name) for name in self.depth_networks}

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity` of `image`, of the output that `output_scale` names, at its own size; or the mean of three.

        The unit of depth is 10 baselines: 5.4 m on KITTI.
        """
        chosen = self.options.output_scale
        sigmoids = self.depth.decode(self.encoder(inputs["image"]), range(3) if chosen < 0 else (chosen,))
        if chosen >= 0:
            return {"disparity": self._range(sigmoids[chosen])[0]}
        size = sigmoids[0].shape[2:]
        maps = [geometry.resize(self._range(sigmoids[number])[0], *size) for number in range(3)]
        return {"disparity": paddle.stack(maps).mean(axis=0)}

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """With parts of the samples exchanged, where the options ask for it (section 3.2)."""
        if not self.options.use_data_graft:
            return batch
        height = batch["image_0_0"].shape[2]
        if self.options.graft_groups == "sign":
            group = batch["T_stereo"][:, 0, 3] > 0
        else:
            group = batch["side"] > 0
        partner = partners(group, self.draw("graft/order", tuple(group.shape), "uniform"))
        ratio, coin = self.draw("graft/cut", (2,), "uniform").unbind()
        kept = paddle.to_tensor([kept_rows(ratio, height) for ratio in GRAFT_RATIOS])
        rows = kept[paddle.clip((ratio * len(GRAFT_RATIOS)).astype("int64"), max=len(GRAFT_RATIOS) - 1)]
        roll = paddle.where(coin < 0.5, rows, paddle.zeros_like(rows))
        return batch | {key: graft(batch[key], partner, rows, roll) for key in GRAFTED if key in batch}

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """Photometric, hint, smoothness and distillation terms; see `core/datasets/sample.py` for the batch."""
        with autocast(self.options.precision, batch["K"].place):  # the networks alone
            sigmoids = self.depth(self.encoder(batch["augmented_0"]))
        return self.stereo_losses(batch, [widen(sigmoid) for sigmoid in sigmoids])

    def stereo_losses(self, batch: dict[str, Tensor], sigmoids: list[Tensor]) -> Losses:
        """The losses of given network outputs.

        Args:
            batch: `image_0_0`, `image_s_0`, `T_stereo`, `K`; `hint` where there are hints.
            sigmoids: all outputs of the decoder in their order, (B, 1, h, w) of any sizes.

        Returns:
            Weighted terms `photometric`, `hint`, `smoothness`, `distillation`, those that the options ask for, whose
            sum is the loss; and detached maps `disparity`, `sigmoid_{i}` and `reprojection_{i}` of output i,
            `winner_{i}` (see `losses/hints.py`), `warped_s_0`, `automask_0`.
        """
        options, target = self.options, batch["image_0_0"]
        error = PhotometricError(target)
        identity = None if options.disable_automasking else error(batch["image_s_0"])
        hint = batch[HINT_KEY] if options.use_depth_hints and (self.training or HINT_KEY in batch) else None
        hinted = None
        if hint is not None:
            with paddle.no_grad():
                hinted = hint_error(error(self._warp(batch, hint)), hint)
        full = [geometry.resize(sigmoid, *target.shape[2:]) for sigmoid in sigmoids]
        parts: dict[str, list[Tensor]] = {"photometric": [], "hint": [], "smoothness": []}
        errors, maps = [], {}
        for number, sigmoid in enumerate(full):
            disparity, depth = self._range(sigmoid)
            warped = self._warp(batch, depth)
            reprojection = error(warped)
            still = None if identity is None else identity + AUTOMASK_NOISE * self._noise(identity, number)
            winner = winners(reprojection, still, hinted)
            parts["photometric"].append(masked_mean(reprojection, winner != IDENTITY))
            if hint is not None:
                parts["hint"].append(masked_mean(log_difference(hint, depth), winner == HINT))
            if options.disparity_smoothness > 0:
                smoothness = smoothness_loss(normalize_by_mean(sigmoid), target)
                parts["smoothness"].append(options.disparity_smoothness / 2**number * smoothness)
            errors.append(reprojection)
            maps |= {
                f"sigmoid_{number}": sigmoid.detach(),
                f"reprojection_{number}": reprojection.detach(),
                f"winner_{number}": winner,
            }
            if number == 0:
                maps |= {"disparity": disparity.detach(), "warped_s_0": warped.detach()}
                maps |= {} if still is None else {"automask_0": (winner != IDENTITY)[:, 0]}
        terms = {name: paddle.stack(values).mean() for name, values in parts.items() if values}
        if options.use_spp_distillate:
            labels = self.labels(full, errors)
            terms["distillation"] = options.spp_loss * distillation_loss(full, labels)
        return Losses(paddle.stack(list(terms.values())).sum(), terms, maps)

    def labels(self, sigmoids: list[Tensor], errors: list[Tensor]) -> list[Tensor]:
        """What each output learns from: the decoder's from their own best, and the encoder's from theirs."""
        count = DECODER_OUTPUTS if self.options.use_full_scale else len(sigmoids)
        labels = []
        for part in (slice(0, count), slice(count, None)):
            if sigmoids[part]:
                labels += [selected_label(sigmoids[part], errors[part])] * len(sigmoids[part])
        return labels

    def _warp(self, batch: dict[str, Tensor], depth: Tensor) -> Tensor:
        """The other camera's image sampled where the target's pixels lie in it."""
        align_corners = self.options.align_corners
        return geometry.warp(batch["image_s_0"], depth, batch["K"], batch["T_stereo"], align_corners)

    def _range(self, sigmoid: Tensor) -> tuple[Tensor, Tensor]:
        """Disparity and depth."""
        return geometry.sigmoid_to_depth(sigmoid, self.options.min_depth, self.options.max_depth)

    def _noise(self, like: Tensor, number: int) -> Tensor:
        """N(0, 1) of the shape of `like`, drawn anew for every output: breaks ties of identity errors.

        Zeros in evaluation mode, so that validation leaves the random numbers of training alone.
        """
        if not self.training:
            return like * 0
        return self.draw(f"noise/{number}", tuple(like.shape), "normal").astype(like.dtype)


def kept_rows(ratio: float, height: int) -> int:
    """Rows of a sample that stay its own when so much of it does."""
    return int(ratio * height)


def partners(group: Tensor, order: Tensor) -> Tensor:
    """For each sample another of its group, or itself: one random permutation inside each.

    Args:
        group: (B,) bool.
        order: (B,) uniform numbers in [0, 1), whose order is the permutation's.
    """
    members = paddle.argsort(group.astype("int64"), stable=True)
    shuffled = paddle.argsort(group.astype(order.dtype) + order, stable=True)
    return paddle.index_select(shuffled, paddle.argsort(members))


def graft(values: Tensor, partner: Tensor, rows: Tensor, roll: Tensor) -> Tensor:
    """Samples (B, C, H, W) whose lower part is their partner's (Peng et al. 2021, section 3.2).

    Args:
        partner: (B,) whose rows come in.
        rows: scalar, how many upper rows stay; 0: nothing happens.
        roll: scalar, by how many rows all then move up, so that `rows` of them brings the lower part to the top.
    """
    row = paddle.arange(values.shape[2])
    own = (row < rows) | (rows == 0)
    grafted = paddle.where(own[:, None], values, paddle.index_select(values, partner))
    return paddle.index_select(grafted, (row + roll) % values.shape[2], axis=2)
