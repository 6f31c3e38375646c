"""ResNet encoder over one or several stacked images (He et al. 2016; Godard et al. 2019, section 4)."""

import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.networks.initialization import initialize_encoder
from backends.torch.networks.layers import BatchNorm2D

CHANNELS = 64  # of the first two features; each further one has twice as many
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def batch_norm(channels: int) -> BatchNorm2D:
    """BatchNorm with eps 1e-5; running statistics move by 0.1 towards the batch (variance unbiased)."""
    return BatchNorm2D(channels, eps=1e-5, momentum=0.1)


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias, zero padded to keep the size at stride 1."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the shortcut (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, channels, 3, stride)
        self.bn1 = batch_norm(channels)
        self.conv2 = convolution(channels, channels, 3)
        self.bn2 = batch_norm(channels)
        self.downsample = shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, channels, H / stride, W / stride)."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1, 3×3 with the stride ("v1.5"), 1×1 to four times the channels (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, channels, 1)
        self.bn1 = batch_norm(channels)
        self.conv2 = convolution(channels, channels, 3, stride)
        self.bn2 = batch_norm(channels)
        self.conv3 = convolution(channels, channels * self.expansion, 1)
        self.bn3 = batch_norm(channels * self.expansion)
        self.downsample = shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, 4 · channels, H / stride, W / stride)."""
        residual = F.relu(self.bn1(self.conv1(x)))
        residual = F.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return F.relu(residual + (x if self.downsample is None else self.downsample(x)))


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """The projection of a shortcut whose shape changes, or None."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(convolution(in_channels, out_channels, 1, stride), batch_norm(out_channels))


class ResNet(nn.Module):
    """The convolutional part of a ResNet, with the parameter names of torchvision and without its classifier."""

    def __init__(self, num_layers: int, images: int) -> None:
        super().__init__()
        block = BasicBlock if num_layers < 50 else Bottleneck
        self.conv1 = nn.Conv2d(3 * images, CHANNELS, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = batch_norm(CHANNELS)
        in_channels = CHANNELS
        for level, count in enumerate(BLOCKS[num_layers], start=1):
            channels, stride = CHANNELS * 2 ** (level - 1), 1 if level == 1 else 2
            blocks = [block(in_channels, channels, stride)]
            in_channels = channels * block.expansion
            blocks += [block(in_channels, channels, 1) for _ in range(count - 1)]
            setattr(self, f"layer{level}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3 · images, H, W) normalised → five features at H/2 … H/32."""
        features = [F.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[0], kernel_size=3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class ResNetEncoder(nn.Module):
    """Features of one image, or of several images stacked along the channels.

    Args:
        num_layers: 18, 34, 50, 101 or 152.
        images: number of stacked RGB images.
    """

    def __init__(self, num_layers: int, images: int = 1) -> None:
        super().__init__()
        self.images = images
        expansion = 1 if num_layers < 50 else 4
        self.channels = [CHANNELS] + [CHANNELS * 2**level * expansion for level in range(4)]
        self.encoder = ResNet(num_layers, images)
        initialize_encoder(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3 · images, H, W) RGB in [0, 1] → five features, (B, channels[i], H / 2^(i+1), W / 2^(i+1))."""
        return self.encoder((image - 0.45) / 0.225)
