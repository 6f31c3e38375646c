"""Depth network that packs and unpacks instead of striding and upsampling (Guizilini et al. 2020, section 4)."""

import paddle
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_xavier
from backends.paddle.networks.layers import upsample
from backends.paddle.networks.packing import DisparityHead, NormalizedConv, Pack, ResidualConv, Unpack
from backends.paddle.tensors import Draw, draw

LEVELS = (1, 2, 3, 4, 5)
BLOCKS = {2: 2, 3: 2, 4: 3, 5: 3}  # residual convolutions of a stage
SCALES = 4
FACTOR = 32  # height and width are multiples of it


class PackEncoder(nn.Layer):
    """RGB → features at six scales: packing, and residual convolutions between.

    Args:
        widths: channels of the first convolution, then of the levels at 1/2, 1/4, 1/8, 1/16, 1/32; multiples of 16.
        features: of the 3-D convolutions.
        dropout: share of the channels of the residual convolutions' shortcuts that are 0 in training.
        draw: see `backends/paddle/methods/base.py`; asked only for dropout.
    """

    def __init__(
        self, widths: tuple[int, ...], features: int, dropout: float = 0.0, draw: Draw = draw
    ) -> None:
        super().__init__()
        self._make_encoder(widths, features, dropout, draw)
        initialize_xavier(self)

    def _make_encoder(self, widths: tuple[int, ...], features: int, dropout: float, draw: Draw) -> None:
        # In front of each level, and at it; widths[level] is that of the level, widths[0] of the first convolution.
        self.pre_calc = NormalizedConv(3, widths[0], 5)
        for level in LEVELS:
            self.add_sublayer(f"pack{level}", Pack(widths[level], 5 if level == 1 else 3, features))
        self.conv1 = NormalizedConv(widths[0], widths[1], 7)
        for level, count in BLOCKS.items():
            blocks = [
                ResidualConv(
                    widths[level] if number else widths[level - 1],
                    widths[level],
                    dropout,
                    draw,
                    f"dropout/conv{level}.{number}",
                )
                for number in range(count)
            ]
            self.add_sublayer(f"conv{level}", nn.Sequential(*blocks))

    def fuse_packing(self, wanted: bool) -> None:
        """Whether prediction may take one convolution for two, see `Pack`."""
        for level in LEVELS:
            getattr(self, f"pack{level}").fused_packing = wanted

    def forward(self, image: Tensor) -> list[Tensor]:
        """`encode`."""
        return self.encode(image)

    def encode(self, image: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) → features (B, widths[i], H / 2^i, W / 2^i), i = 0 to 5: the skips, then the bottleneck.

        Raises:
            ValueError: H or W is no multiple of 32.
        """
        if image.shape[2] % FACTOR or image.shape[3] % FACTOR:
            raise ValueError(f"height and width must be multiples of {FACTOR}, not {tuple(image.shape[2:])}")
        x = self.pre_calc(image)
        features = [x]
        for level in LEVELS:
            x = getattr(self, f"pack{level}")(getattr(self, f"conv{level}")(x))
            features.append(x)
        return features


class PackDecoder(nn.Layer):
    """Features at six scales → disparity at four: unpacking, each with the skip of its scale.

    Args:
        widths, features: as of the encoder.
        concatenate: skips are concatenated; otherwise added.
    """

    def __init__(self, widths: tuple[int, ...], features: int, concatenate: bool = True) -> None:
        super().__init__()
        self._make_decoder(widths, features, concatenate)
        initialize_xavier(self)

    def _make_decoder(self, widths: tuple[int, ...], features: int, concatenate: bool) -> None:
        self.concatenate = concatenate
        for level in reversed(LEVELS):
            below = widths[min(level + 1, 5)]
            skip = widths[level - 1]
            self.add_sublayer(
                f"unpack{level}", Unpack(below, widths[level] if concatenate else skip, 3, features)
            )
        for level in reversed(LEVELS):
            skip = widths[level - 1]
            inputs = widths[level] + skip if concatenate else skip
            if level < SCALES:
                inputs += 1  # the disparity of the level below
            self.add_sublayer(f"iconv{level}", NormalizedConv(inputs, widths[level], 3))
        for level in range(SCALES, 0, -1):
            self.add_sublayer(f"disp{level}_layer", DisparityHead(widths[level]))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """`decode`."""
        return self.decode(features)

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """What `encode` gave → the disparities, finest first."""
        x = features[-1]
        disparities: list[Tensor] = []
        for level in reversed(LEVELS):
            x = getattr(self, f"unpack{level}")(x)
            skip = features[level - 1]
            parts = [x, skip] if self.concatenate else [x + skip]
            if disparities:
                parts.append(upsample(disparities[0]))
            x = getattr(self, f"iconv{level}")(paddle.concat(parts, axis=1))
            if level <= SCALES:
                disparities.insert(0, getattr(self, f"disp{level}_layer")(x))
        return disparities


class PackNet(PackEncoder, PackDecoder):
    """RGB → disparity at four scales: both parts as one network, whose names have no prefixes.

    Args:
        widths: channels of the first convolution, then of the levels at 1/2, 1/4, 1/8, 1/16, 1/32; multiples of 16.
        features: of the 3-D convolutions.
        concatenate: skips are concatenated; otherwise added.
        dropout: share of the channels of the residual convolutions' shortcuts that are 0 in training.
        draw: see `backends/paddle/methods/base.py`; asked only for dropout.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        features: int,
        concatenate: bool = True,
        dropout: float = 0.0,
        draw: Draw = draw,
    ) -> None:
        nn.Layer.__init__(self)
        self._make_encoder(widths, features, dropout, draw)
        self._make_decoder(widths, features, concatenate)
        initialize_xavier(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) in [0, 1] → disparities in (0, 2), 1 / m, (B, 1, H / 2^i, W / 2^i) for i = 0 to 3.

        Raises:
            ValueError: H or W is no multiple of 32.
        """
        return self.decode(self.encode(image))

    def disparity(self, image: Tensor) -> Tensor:
        """The first output of `forward`."""
        return self.forward(image)[0]
