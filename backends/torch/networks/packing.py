"""Convolutions with group norm, and packing and unpacking by 3-D convolution (Guizilini et al. 2020, section 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.tensors import Draw, draw

GROUPS = 16
EPSILON = 1e-5
FUSED_FROM = 1024  # pixels of a packed map: measured, smaller ones are slower with the larger kernel on a CPU
LARGEST_DISPARITY = 2.0  # 1 / m: depth from half a metre


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalisation of 16 groups of channels; their number must be a multiple of 16."""
    return nn.GroupNorm(GROUPS, channels, eps=EPSILON)


class NormalizedConv(nn.Module):
    """ELU(group norm(convolution with bias over a zero-padded input)), α = 1; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.conv_base = nn.Conv2d(in_channels, out_channels, size, padding=size // 2)
        self.normalize = group_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        return self.finish(self.conv_base(x))

    def finish(self, convolved: Tensor) -> Tensor:
        """What follows the convolution."""
        return F.elu(self.normalize(convolved), alpha=1.0)


class ResidualConv(nn.Module):
    """ELU(group norm(two convolutions + a 1×1 convolution)), in training with some channels of the latter 0.

    Args:
        dropout: share of the channels of a sample that are 0; the others are that much larger.
        draw: see `backends/torch/methods/base.py`; asked only for dropout.
        name: of what is drawn.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dropout: float = 0.0,
        draw: Draw = draw,
        name: str = "dropout",
    ) -> None:
        super().__init__()
        self.dropout, self.draw, self.name = dropout, draw, name
        self.conv1 = NormalizedConv(in_channels, out_channels, 3)
        self.conv2 = NormalizedConv(out_channels, out_channels, 3)
        self.conv3 = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.normalize = group_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H, W)."""
        shortcut = self.conv3(x)
        if self.training and self.dropout > 0:
            drawn = self.draw(self.name, (shortcut.shape[0], shortcut.shape[1], 1, 1), "uniform")
            shortcut = shortcut * (drawn >= self.dropout).to(shortcut.dtype) / (1 - self.dropout)
        return F.elu(self.normalize(self.conv2(self.conv1(x)) + shortcut), alpha=1.0)


def space_to_depth(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, 4 · C, H / 2, W / 2): channel 4 c + 2 dy + dx holds row dy, column dx of 2×2 pixels."""
    return F.pixel_unshuffle(x, 2)


class Pack(nn.Module):
    """Space to depth, a 3-D convolution and a 2-D convolution: half the size (section 4.1).

    In evaluation, without gradients, the two convolutions are one where that is faster. They are linear with nothing in
    between, so only the border differs, where the second pads what the first gave: strips of it are computed by both.

    Args:
        channels: of input and output.
        size: of the 2-D kernel.
        features: of the 3-D convolution.

    Attributes:
        fused_packing: whether the two may be one.
    """

    fused_packing = True

    def __init__(self, channels: int, size: int, features: int) -> None:
        super().__init__()
        self.size, self.features = size, features
        self.conv = NormalizedConv(4 * channels * features, channels, size)
        self.conv3d = nn.Conv3d(1, features, kernel_size=3, padding=1)
        self._fused: tuple[Tensor, Tensor] | None = None
        self._made_of: tuple | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) → (B, channels, H / 2, W / 2)."""
        packed = space_to_depth(x)
        if self.training:
            self._fused = self._made_of = None
        elif self.fused_packing and self.fusing_saves(*packed.shape[2:]) and not _recorded():
            return self.conv.finish(self.fused(packed))
        return self.conv.finish(self.two_steps(packed))

    def two_steps(self, packed: Tensor) -> Tensor:
        """(B, 4 · channels, h, w) → (B, channels, h, w) before the normalisation."""
        return self.conv.conv_base(self.conv3d(packed.unsqueeze(1)).flatten(1, 2))

    def fused(self, packed: Tensor) -> Tensor:
        """`two_steps` by one convolution, and by two at the border. Height and width are at least `size`."""
        weight, bias = self.fused_weights()
        border, cut = self.size // 2, self.size // 2 * 2 + 1
        result = F.conv2d(packed, weight, bias, padding=border + 1)
        result[:, :, :border] = self.two_steps(packed[:, :, :cut])[:, :, :border]
        result[:, :, -border:] = self.two_steps(packed[:, :, -cut:])[:, :, -border:]
        result[:, :, :, :border] = self.two_steps(packed[:, :, :, :cut])[:, :, :, :border]
        result[:, :, :, -border:] = self.two_steps(packed[:, :, :, -cut:])[:, :, :, -border:]
        return result

    def fusing_saves(self, height: int, width: int) -> bool:
        """Whether `fused` takes fewer multiplications, strips included, for a packed map that is large enough."""
        one_step = (self.size + 2) ** 2
        two_steps = self.features * (self.size**2 + 27 / self.conv.conv_base.out_channels)
        cut = self.size // 2 * 2 + 1
        strips = 2 * cut * (height + width)
        large = min(height, width) >= cut and height * width >= FUSED_FROM
        return large and height * width * one_step + strips * two_steps < height * width * two_steps

    def fused_weights(self) -> tuple[Tensor, Tensor]:
        """Weight (channels, 4 · channels, size + 2, size + 2) and bias of the one convolution.

        They are kept until a parameter changes, and are no parameters: files hold the two convolutions'.
        """
        conv, conv3d = self.conv.conv_base, self.conv3d
        parameters = (conv.weight, conv.bias, conv3d.weight, conv3d.bias)
        made_of = tuple((one.data_ptr(), one._version, one.dtype) for one in parameters)
        if self._fused is None or self._made_of != made_of:
            self._fused, self._made_of = self._fuse(), made_of
        return self._fused

    def _fuse(self) -> tuple[Tensor, Tensor]:
        conv, conv3d = self.conv.conv_base, self.conv3d
        with torch.no_grad():
            # Feature-major channels: (outputs, features, packed channels, size, size).
            volume = conv.weight.unflatten(1, (self.features, -1))
            weight = F.conv_transpose3d(volume, conv3d.weight, padding=(1, 0, 0))[:, 0]
            bias = conv.bias + volume.sum(dim=(2, 3, 4)) @ conv3d.bias
        return weight, bias


def _recorded() -> bool:
    """Whether gradients may be asked for, or a graph is made for export."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()


class Unpack(nn.Module):
    """A 2-D convolution, a 3-D convolution and depth to space: twice the size (section 4.2).

    Args:
        in_channels, out_channels: of input and output.
        size: of the 2-D kernel.
        features: of the 3-D convolution; 4 · out_channels is a multiple of it.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, features: int) -> None:
        super().__init__()
        self.conv = NormalizedConv(in_channels, 4 * out_channels // features, size)
        self.conv3d = nn.Conv3d(1, features, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, 2 · H, 2 · W)."""
        return F.pixel_shuffle(self.conv3d(self.conv(x).unsqueeze(1)).flatten(1, 2), 2)


class DisparityHead(nn.Module):
    """A 3×3 convolution and a sigmoid."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 1, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → disparity (B, 1, H, W) in (0, 2), 1 / m."""
        return LARGEST_DISPARITY * torch.sigmoid(self.conv1(x))
