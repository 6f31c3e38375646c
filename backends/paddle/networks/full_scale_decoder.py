"""Depth decoder of U-blocks, with outputs at every scale of decoder and encoder (Peng et al. 2021, section 3.3)."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder
from backends.paddle.networks.layers import upsample
from backends.paddle.networks.residual_u_block import ResidualUBlock, conv3x3

STAGES = (5, 4, 3, 2, 1)  # coarsest first
# Levels, channels inside and channels of the output of a stage's block.
STAGE_BLOCKS = {5: (3, 64, 256), 4: (4, 32, 128), 3: (5, 16, 64), 2: (6, 8, 32), 1: (7, 4, 16)}
# The same of the heads on the encoder's features, finest first.
HEAD_BLOCKS = ((7, 32, 64), (6, 32, 64), (5, 64, 128), (4, 128, 256), (3, 256, 512))


class EncoderHead(nn.Layer):
    """A block and a sigmoid map on one feature of the encoder."""

    def __init__(
        self, levels: int, in_channels: int, mid_channels: int, out_channels: int, padding: str
    ) -> None:
        super().__init__()
        self.bottleneck = ResidualUBlock(levels, in_channels, mid_channels, out_channels, padding)
        self.disp = nn.Sequential(conv3x3(out_channels, 1, padding))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in_channels, h, w) → (B, 1, h, w) in (0, 1)."""
        return F.sigmoid(self.disp(self.bottleneck(feature)))


class FullScaleDecoder(nn.Layer):
    """Five features → ten sigmoid maps; prediction takes only the stages that it needs.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
        padding: zeros or reflect, of all convolutions; reflect takes inputs of 160 × 160 and more, without the heads on
            the encoder 96 × 96.
    """

    def __init__(self, feature_channels: list[int], padding: str = "zeros") -> None:
        super().__init__()
        in_channels = feature_channels[-1]
        for stage in STAGES:
            levels, middle, outputs = STAGE_BLOCKS[stage]
            skip_channels = feature_channels[stage - 2] if stage > 1 else 0
            block = ResidualUBlock(levels, in_channels + skip_channels, middle, outputs, padding)
            self.add_sublayer(f"stage{stage}d", block)
            in_channels = outputs
        # Numbered from the coarsest stage, unlike the outputs.
        self.disps = nn.LayerList(
            [nn.Sequential(conv3x3(STAGE_BLOCKS[stage][2], 1, padding)) for stage in STAGES]
        )
        self.encoder_disps = nn.LayerList(
            [
                EncoderHead(levels, channels, middle, outputs, padding)
                for channels, (levels, middle, outputs) in zip(feature_channels, HEAD_BLOCKS, strict=True)
            ]
        )
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Five features, (B, feature_channels[i], H / 2^(i+1), W / 2^(i+1)) → sigmoids in (0, 1).

        Returns:
            0 to 4 of the decoder, (B, 1, H / 2^i, W / 2^i), then those of the encoder's features, coarsest first.
        """
        decoded = self.decode(features, range(len(STAGES)))
        heads = [head(feature) for head, feature in zip(self.encoder_disps, features, strict=True)]
        return [*(decoded[number] for number in range(len(STAGES))), *reversed(heads)]

    def decode(self, features: list[Tensor], outputs: "range | tuple[int, ...]") -> dict[int, Tensor]:
        """Some of the outputs 0 to 4, by number; stages finer than these do not run."""
        sigmoids = {}
        x = features[-1]
        for stage in range(len(STAGES), min(outputs), -1):
            x = upsample(x)
            if stage > 1:
                x = paddle.concat([x, features[stage - 2]], axis=1)
            x = getattr(self, f"stage{stage}d")(x)
            if stage - 1 in outputs:
                sigmoids[stage - 1] = F.sigmoid(self.disps[len(STAGES) - stage](x))
        return sigmoids
