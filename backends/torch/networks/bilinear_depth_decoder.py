"""Depth decoder with skip connections and bilinear upsampling, of which the finest scale alone is used."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.networks.initialization import initialize_decoder
from backends.torch.networks.layers import Conv3x3, ConvBlock

CHANNELS = (16, 32, 64, 128, 256)


class BilinearDepthDecoder(nn.Module):
    """Five features → a sigmoid map of full resolution.

    The heads of the coarser scales 1 to 3 are there for the files that have them; training never reaches them.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        before, after = [], []
        in_channels = feature_channels[-1]
        for level in range(4, -1, -1):
            skip_channels = feature_channels[level - 1] if level > 0 else 0
            before.append(ConvBlock(in_channels, CHANNELS[level]))
            after.append(ConvBlock(CHANNELS[level] + skip_channels, CHANNELS[level]))
            in_channels = CHANNELS[level]
        # The official files number these from the coarsest level, and the heads by their scale.
        self.upconvs0 = nn.ModuleList(before)
        self.upconvs1 = nn.ModuleList(after)
        self.dispconvs = nn.ModuleList([Conv3x3(CHANNELS[scale], 1) for scale in range(4)])
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Five features, (B, feature_channels[i], H / 2^(i+1), W / 2^(i+1)) → (B, 1, H, W) in (0, 1)."""
        return torch.sigmoid(self.dispconvs[0](self._decoded(features)[0]))

    def all_scales(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Five features → {scale: (B, 1, H / 2^scale, W / 2^scale) in (0, 1)} of scales 0 to 3."""
        decoded = self._decoded(features)
        return {scale: torch.sigmoid(head(decoded[scale])) for scale, head in enumerate(self.dispconvs)}

    def _decoded(self, features: list[Tensor]) -> dict[int, Tensor]:
        """{level: what its head sees}, (B, CHANNELS[level], H / 2^level, W / 2^level) each."""
        decoded = {}
        x = features[-1]
        for level in range(4, -1, -1):
            x = self.upconvs0[4 - level](x)
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            if level > 0:
                x = torch.cat([x, features[level - 1]], dim=1)
            x = decoded[level] = self.upconvs1[4 - level](x)
        return decoded
