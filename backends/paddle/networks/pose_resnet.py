"""A ResNet over a target and a source, and a pose decoder, as one network."""

import paddle
from paddle import Tensor, nn

from backends.paddle.networks.pose_decoder import PoseDecoder
from backends.paddle.networks.resnet import ResNetEncoder


class PoseResNet(nn.Layer):
    """A target and its sources → the motion of each, one after the other.

    Args:
        num_layers: of the ResNet.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(num_layers, images=2)
        # Files have two motions, of which only the first was ever used.
        self.decoder = PoseDecoder(self.encoder.channels[-1], inputs=1, poses=2)

    def forward(self, target: Tensor, sources: list[Tensor]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1] each → (B, sources, 6): translation x y z, then angles about x y z, radians."""
        motions = []
        for source in sources:
            angles, translation = self.decoder([self.encoder(paddle.concat([target, source], axis=1))])
            motions.append(paddle.concat([translation[:, 0, 0], angles[:, 0, 0]], axis=1))
        return paddle.stack(motions, axis=1)
