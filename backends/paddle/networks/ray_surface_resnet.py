"""A ResNet encoder with two decoders: disparity, and what is added to a template of viewing rays.

Vasiljevic et al., "Neural Ray Surfaces for Self-Supervised Learning of Depth and Ego-motion", 3DV 2020, section 3.
"""

from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from backends.paddle.networks.depth_decoder import DepthDecoder
from backends.paddle.networks.depth_resnet import LARGEST_DISPARITY, LEAST_DISPARITY, SCALES
from backends.paddle.networks.resnet import ResNetEncoder


@dataclass
class RaySurfaceOutput:
    """Of images (B, 3, H, W).

    Attributes:
        disparities: (B, 1, H / 2^i, W / 2^i) for i = 0 to 3; 1 / range, in units of the model.
        ray_residual: (B, 3, H, W) in (−1, 1), x y z.
    """

    disparities: list[Tensor]
    ray_residual: Tensor


class RayDecoder(DepthDecoder):
    """The depth decoder with one head, three channels of full size."""

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__(feature_channels, [0], 3)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Five features → (B, 3, H, W) in (−1, 1)."""
        return paddle.tanh(self.maps(features)[0])


class RaySurfaceResNet(nn.Layer):
    """RGB → disparity at four scales, and the residual of the rays.

    Args:
        num_layers: of the ResNet.
        size: height and width of the template that it keeps as `ray_template` (1, 3, height, width); none: it has none.
        masked: it keeps a mask `valid` (1, 1, height, width) of 0 and 1 as well.
        shared: it keeps `ray_mean` (1, 3, height, width), the mean residual of many images, as well.
    """

    def __init__(
        self,
        num_layers: int,
        size: tuple[int, int] | None = None,
        masked: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(num_layers)
        self.decoder = DepthDecoder(self.encoder.channels, list(range(SCALES)))
        self.ray_surf = RayDecoder(self.encoder.channels)
        if size is not None:
            self.register_buffer("ray_template", paddle.zeros([1, 3, *size]))
            if masked:
                self.register_buffer("valid", paddle.ones([1, 1, *size]))
            if shared:
                self.register_buffer("ray_mean", paddle.zeros([1, 3, *size]))

    def forward(self, image: Tensor) -> RaySurfaceOutput:
        """RGB (B, 3, H, W) in [0, 1], H and W multiples of 32 and at least 64.

        Raises:
            ValueError: another size.
        """
        height, width = image.shape[2:]
        if height % 32 or width % 32 or min(height, width) < 64:
            raise ValueError(f"{width}x{height} images: sides must be multiples of 32, at least 64")
        features = self.encoder(image)
        return RaySurfaceOutput(self._disparities(features), self.ray_surf(features))

    def disparity(self, image: Tensor) -> Tensor:
        """The first of the disparities."""
        return self._disparities(self.encoder(image))[0]

    def _disparities(self, features: list[Tensor]) -> list[Tensor]:
        sigmoids = self.decoder(features)
        step = LARGEST_DISPARITY - LEAST_DISPARITY
        return [LEAST_DISPARITY + step * sigmoids[scale] for scale in range(SCALES)]
