"""Decoder of an autoencoder of images: from the coarsest feature, without skip connections (Shu et al. 2020)."""

import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder
from backends.paddle.networks.layers import Conv3x3, ConvBlock, upsample

WIDTHS = {5: 256, 4: 128, 3: 64, 2: 32, 1: 16}  # by level, coarsest first
OUTPUTS = (4, 3, 2, 1)  # levels with a head


class ImageDecoder(nn.Layer):
    """The coarsest of five features → the image at four scales.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        in_channels = feature_channels[-1]
        for level, width in WIDTHS.items():
            self.add_sublayer(f"upconv{level}", ConvBlock(in_channels, width))
            in_channels = width
        # In this order, which is that of the optimiser in the authors' files.
        for level, width in WIDTHS.items():
            self.add_sublayer(f"iconv{level}", ConvBlock(width, width))
        for level in OUTPUTS:
            self.add_sublayer(f"disp{level}", Conv3x3(WIDTHS[level], 3))
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Five features, of which the coarsest counts, (B, C, H / 32, W / 32) → images 0 to 3, RGB in (0, 1).

        Returns:
            (B, 3, H / 2^i, W / 2^i) each.
        """
        images: list[Tensor] = []
        x = features[-1]
        for level in WIDTHS:
            x = upsample(self._part("upconv", level)(x))
            x = self._part("iconv", level)(x)
            if level in OUTPUTS:
                images.insert(0, F.sigmoid(self._part("disp", level)(x)))
        return images

    def _part(self, kind: str, level: int) -> nn.Layer:
        return getattr(self, f"{kind}{level}")
