"""A ResNet encoder and the decoder with skips as one network, whose output is disparity in 1 / m."""

from paddle import Tensor, nn

from backends.paddle.networks.depth_decoder import DepthDecoder
from backends.paddle.networks.resnet import ResNetEncoder

LEAST_DISPARITY, LARGEST_DISPARITY = 1 / 100, 10.0  # 1 / m
SCALES = 4


class DepthResNet(nn.Layer):
    """RGB → disparity at four scales.

    Args:
        num_layers: of the ResNet.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(num_layers)
        self.decoder = DepthDecoder(self.encoder.channels, list(range(SCALES)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) in [0, 1] → disparities (B, 1, H / 2^i, W / 2^i), 1 / m, for i = 0 to 3."""
        sigmoids = self.decoder(self.encoder(image))
        step = LARGEST_DISPARITY - LEAST_DISPARITY
        return [LEAST_DISPARITY + step * sigmoids[scale] for scale in range(SCALES)]

    def disparity(self, image: Tensor) -> Tensor:
        """The first output of `forward`."""
        return self.forward(image)[0]
