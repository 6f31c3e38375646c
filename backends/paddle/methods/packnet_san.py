"""PackNet-SAN: depth from an image, with or without sparse depth, by one network (Guizilini et al., CVPR 2021)."""

from paddle import Tensor, nn

from backends.paddle.methods.base import Losses
from backends.paddle.methods.packnet import PackNet, mirrored
from backends.paddle.networks.packing import LARGEST_DISPARITY
from backends.paddle.networks.packnet import SCALES
from backends.paddle.networks.packnet_san import PackNetSAN as PackNetSANDepth
from backends.paddle.tensors import Draw, autocast, draw, widen
from core.datasets.input_depth import INPUT_DEPTH
from core.options.methods.packnet_san import PackNetSANOptions
from core.options.needs import Input


class PackNetSAN(PackNet):
    """Prediction (the image alone) and completion (the image and sparse depth), both in metres."""

    inputs = {"image": Input(3), INPUT_DEPTH: Input(1, required=False)}  # noqa: RUF012 (never changed)

    def __init__(self, options: PackNetSANOptions, draw: Draw = draw) -> None:
        super().__init__(options, draw)
        if options.freeze_encoder:
            for parameter in self.depth.encoder.parameters():
                parameter.stop_gradient = True

    def parameter_groups(self) -> list[dict]:
        """One of each network, without a frozen encoder."""
        groups = super().parameter_groups()
        return [group | {"params": [p for p in group["params"] if not p.stop_gradient]} for group in groups]

    def predict(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`disparity`, 1 / m, of `image`, completed where there is an `input_depth`."""
        return {"disparity": self.depth.disparity(inputs["image"], inputs.get(INPUT_DEPTH))}

    def losses(self, batch: dict[str, Tensor]) -> Losses:
        """What views and measured depth say of both passes of the network, and how far these are apart.

        In evaluation a batch without `input_depth` has the first pass alone.
        """
        if self.options.freeze_encoder:
            self.depth.encoder.eval()  # without dropout
        if INPUT_DEPTH not in batch and not self.training:
            return super().losses(batch)
        seen, flip = self._seen(batch), self._flip()
        given = [seen[0], batch[INPUT_DEPTH]]
        with autocast(self.options.precision, seen[0].place):  # the networks alone
            found = self.depth(*(one if flip is None else mirrored(one, flip) for one in given), both=True)
            vectors = self.pose(seen[0], seen[1:]) if self.pose_networks else None
        *disparities, apart = [widen(one) for one in found]
        plain, completed = disparities[:SCALES], disparities[SCALES:]
        if flip is not None:
            plain = [mirrored(one, flip) for one in plain]
        if flip is not None and self.options.flip_rgbd_outputs:
            completed = [mirrored(one, flip) for one in completed]
        motions = [] if vectors is None else self._motions(widen(vectors))
        return self.completion_losses_of(batch, plain, completed, apart, motions)

    def completion_losses_of(
        self,
        batch: dict[str, Tensor],
        disparities: list[Tensor],
        completed: list[Tensor],
        apart: Tensor,
        motions: list[Tensor],
    ) -> Losses:
        """The losses of given network outputs: those of PackNet's first pass, and what the second adds.

        Args:
            batch, disparities, motions: see `PackNet.losses_of`.
            completed: disparities with depth beside the image.
            apart: how far the features of the passes are apart, a scalar.

        Returns:
            As `PackNet.losses_of`, with the further terms `supervised_rgbd` and `depth`.
        """
        losses = self.losses_of(batch, disparities, motions)
        further = {}
        if self._is_taught(batch):
            taught, _ = self._supervised(batch, self._sized(batch, completed))
            further["supervised_rgbd"] = self.options.weight_rgbd * self.options.supervised_share * taught
        further["depth"] = apart
        return Losses(losses.loss + sum(further.values()), losses.terms | further, losses.maps)

    def _depth_network(self) -> tuple[nn.Layer, float]:
        """With fresh weights, and its largest disparity."""
        options = self.options
        network = PackNetSANDepth(*options.widths, options.concatenate, options.dropout, self.draw)
        network.fuse_packing(options.fused_packing)
        return network, LARGEST_DISPARITY
