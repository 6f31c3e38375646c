"""Depth decoder with chained residual pooling (Shu et al. 2020; the pooling after Lin et al. 2017, RefineNet)."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder
from backends.paddle.networks.layers import Conv3x3, upsample
from backends.paddle.tensors import Draw, draw

LEVELS = (4, 3, 2, 1)  # of the encoder's features, coarsest first; the finest, 0, is not used
WIDTH = 256
STAGES = 4  # of a chain
SLOPE = 0.01


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU: max(x, 0.01 x)."""
    # Not `F.leaky_relu`, which crashes the inference engine's oneDNN after a convolution.
    return paddle.maximum(x, SLOPE * x)


class Pointwise(nn.Layer):
    """1×1 convolution without bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(in_channels, out_channels, kernel_size=1, bias_attr=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return self.conv(x)


class ChainedResidualPooling(nn.Layer):
    """Adds to its input what four poolings, one after the other, make of it: context of 5, 9, 13 and 17 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for stage in range(1, STAGES + 1):
            self.add_sublayer(f"{stage}_pointwise", Pointwise(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) → the same shape."""
        top = x
        for stage in range(1, STAGES + 1):
            top = getattr(self, f"{stage}_pointwise")(F.max_pool2d(top, 5, stride=1, padding=2))
            x = x + top
        return x


class ResidualPoolingDecoder(nn.Layer):
    """Five features → four sigmoid maps, the finest of half the image's size.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
        dropout: share of the values of the two coarsest features that are 0 in training; the others are that much
            larger.
        draw: see `backends/paddle/methods/base.py`; asked only for dropout.
    """

    def __init__(self, feature_channels: list[int], dropout: float = 0.5, draw: Draw = draw) -> None:
        super().__init__()
        self.dropout, self.draw = dropout, draw
        makers = {
            "reduce": lambda level: Pointwise(feature_channels[level], 2 * WIDTH if level == 4 else WIDTH),
            "iconv": lambda level: Conv3x3(2 * WIDTH + (level < 4), WIDTH),
            "crp": lambda level: nn.Sequential(ChainedResidualPooling(WIDTH)),
            "merge": lambda level: Conv3x3(WIDTH, WIDTH),
            "disp": lambda level: nn.Sequential(Conv3x3(WIDTH, 1), nn.Sigmoid()),
        }
        # In this order, which is that of the optimiser in the authors' files.
        for kind, make in makers.items():
            for level in LEVELS:
                self.add_sublayer(f"{kind}{level}", make(level))
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Five features, (B, feature_channels[i], H / 2^(i+1), W / 2^(i+1)), of an image of multiples of 32.

        Returns:
            Sigmoids 0 to 3, (B, 1, H / 2^(i+1), W / 2^(i+1)) in (0, 1).
        """
        sigmoids: list[Tensor] = []
        x = None
        for level in LEVELS:
            feature = self._part("reduce", level)(self._dropped(features[level], level))
            if x is not None:
                feature = paddle.concat([feature, x, sigmoids[0]], axis=1)
            x = self._part("crp", level)(leaky(self._part("iconv", level)(feature)))
            x = upsample(leaky(self._part("merge", level)(x)))
            sigmoids.insert(0, self._part("disp", level)(x))
        return sigmoids

    def _part(self, kind: str, level: int) -> nn.Layer:
        return getattr(self, f"{kind}{level}")

    def _dropped(self, feature: Tensor, level: int) -> Tensor:
        """With some values 0, each by itself."""
        if not self.training or self.dropout == 0 or level < 3:
            return feature
        drawn = self.draw(f"dropout/{level}", tuple(feature.shape), "uniform")
        return feature * (drawn >= self.dropout).astype(feature.dtype) / (1 - self.dropout)
