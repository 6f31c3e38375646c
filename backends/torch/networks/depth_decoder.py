"""Depth decoder with skip connections (Godard et al. 2019, section 4 and supplementary table 6)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.networks.initialization import initialize_decoder
from backends.torch.networks.layers import Conv3x3, ConvBlock

CHANNELS = (16, 32, 64, 128, 256)


class DepthDecoder(nn.Module):
    """Five features → a sigmoid map per wanted scale; also the predictive-mask network, with one channel per source.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
        scales: wanted scales; scale s has the size H / 2^s, W / 2^s.
        out_channels: channels of each output.
    """

    def __init__(self, feature_channels: list[int], scales: list[int], out_channels: int = 1) -> None:
        super().__init__()
        self.scales = scales
        blocks: list[nn.Module] = []
        in_channels = feature_channels[-1]
        for level in range(4, -1, -1):
            blocks.append(ConvBlock(in_channels, CHANNELS[level]))
            skip_channels = feature_channels[level - 1] if level > 0 else 0
            blocks.append(ConvBlock(CHANNELS[level] + skip_channels, CHANNELS[level]))
            in_channels = CHANNELS[level]
        # The official files number the outputs by their position in `scales`, not by the scale.
        blocks += [Conv3x3(CHANNELS[scale], out_channels) for scale in scales]
        self.decoder = nn.ModuleList(blocks)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Five features → {scale: (B, out_channels, H / 2^scale, W / 2^scale) in (0, 1)}."""
        return {scale: torch.sigmoid(one) for scale, one in self.maps(features).items()}

    def maps(self, features: list[Tensor]) -> dict[int, Tensor]:
        """The same before the sigmoid."""
        maps = {}
        x = features[-1]
        for level in range(4, -1, -1):
            x = self.decoder[2 * (4 - level)](x)
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            if level > 0:
                x = torch.cat([x, features[level - 1]], dim=1)
            x = self.decoder[2 * (4 - level) + 1](x)
            if level in self.scales:
                maps[level] = self.decoder[10 + self.scales.index(level)](x)
        return maps
