"""Depth decoder that upsamples before it convolves (Peng et al. 2021; after Godard et al. 2017)."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder
from backends.paddle.networks.layers import Conv3x3, ConvBlock, upsample

CHANNELS = {5: 256, 4: 128, 3: 64, 2: 32, 1: 16}
OUTPUTS = 4


class SigmoidHead(nn.Layer):
    """The convolution of an output."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) → (B, 1, h, w) in (0, 1)."""
        return F.sigmoid(self.conv(x))


class PlainDepthDecoder(nn.Layer):
    """Five features → four sigmoid maps.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        in_channels = feature_channels[-1]
        for level, channels in CHANNELS.items():
            skip_channels = feature_channels[level - 2] if level > 1 else 0
            self.add_sublayer(f"upconv{level}", ConvBlock(in_channels, channels))
            self.add_sublayer(f"iconv{level}", ConvBlock(channels + skip_channels, channels))
            in_channels = channels
        # Numbered from the coarsest, unlike the outputs.
        self.disps = nn.LayerList([SigmoidHead(CHANNELS[level]) for level in range(OUTPUTS, 0, -1)])
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Five features → sigmoids 0 to 3, (B, 1, H / 2^i, W / 2^i) in (0, 1)."""
        decoded = self.decode(features, range(OUTPUTS))
        return [decoded[number] for number in range(OUTPUTS)]

    def decode(self, features: list[Tensor], outputs: "range | tuple[int, ...]") -> dict[int, Tensor]:
        """Some of the outputs 0 to 3, by number; levels finer than these do not run."""
        sigmoids = {}
        x = features[-1]
        for level in range(len(CHANNELS), min(outputs), -1):
            x = getattr(self, f"upconv{level}")(upsample(x))
            if level > 1:
                x = paddle.concat([x, features[level - 2]], axis=1)
            x = getattr(self, f"iconv{level}")(x)
            if level - 1 in outputs:
                sigmoids[level - 1] = self.disps[OUTPUTS - level](x)
        return sigmoids
