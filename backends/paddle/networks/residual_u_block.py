"""U-blocks inside a residual connection (Qin et al., U²-Net, 2020, section 3.1), without BatchNorm, with ELU."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


class ConvUnit(nn.Layer):
    """ELU(3×3 convolution with bias), α = 1; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, padding: str, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = conv3x3(in_channels, out_channels, padding, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return F.elu(self.conv_s1(x), alpha=1.0)


def conv3x3(in_channels: int, out_channels: int, padding: str, dilation: int = 1) -> nn.Conv2D:
    """A 3×3 convolution with bias that keeps the size; `padding` is zeros or reflect."""
    return nn.Conv2D(in_channels, out_channels, 3, padding=dilation, dilation=dilation, padding_mode=padding)


class ResidualUBlock(nn.Layer):
    """An encoder and decoder of `levels` levels whose result is added to its input.

    Args:
        levels: 3 to 7; the last works on the size of the one before, with dilation.
        in_channels, mid_channels, out_channels: of the input, inside, of the output.
        padding: zeros or reflect.
    """

    def __init__(
        self, levels: int, in_channels: int, mid_channels: int, out_channels: int, padding: str = "zeros"
    ) -> None:
        super().__init__()
        self.levels = levels
        self.rebnconvin = ConvUnit(in_channels, out_channels, padding)
        for level in range(1, levels):
            inputs = out_channels if level == 1 else mid_channels
            self.add_sublayer(f"rebnconv{level}", ConvUnit(inputs, mid_channels, padding))
        self.add_sublayer(f"rebnconv{levels}", ConvUnit(mid_channels, mid_channels, padding, dilation=2))
        for level in range(levels - 1, 0, -1):
            outputs = out_channels if level == 1 else mid_channels
            self.add_sublayer(f"rebnconv{level}d", ConvUnit(2 * mid_channels, outputs, padding))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        whole = x = self.rebnconvin(x)
        down = []
        for level in range(1, self.levels):
            x = x if level == 1 else F.max_pool2d(x, kernel_size=2, stride=2, ceil_mode=True)
            x = getattr(self, f"rebnconv{level}")(x)
            down.append(x)
        x = getattr(self, f"rebnconv{self.levels}")(x)
        for level in range(self.levels - 1, 0, -1):
            skip = down[level - 1]
            if x.shape[2:] != skip.shape[2:]:
                x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False, align_mode=0)
            x = getattr(self, f"rebnconv{level}d")(paddle.concat([x, skip], axis=1))
        return x + whole
