"""Depth from an image, and from an image and sparse depth, by one network (Guizilini et al. 2021, section 3)."""

import torch
from torch import Tensor, nn

from backends.torch.networks.packnet import LEVELS, PackDecoder, PackEncoder
from backends.torch.networks.sparse_convolution import SparseBranch
from backends.torch.tensors import Draw, draw

SIZES = (5, 5, 3, 3, 3)  # of the sparse kernels
SECOND = "/rgbd"  # behind the names of what the second pass draws


class PackNetSAN(nn.Module):
    """RGB, with or without sparse depth → disparity at four scales.

    Args:
        widths: channels of the first convolution, then of the levels at 1/2, 1/4, 1/8, 1/16, 1/32; multiples of 16.
        features: of the 3-D convolutions.
        concatenate: skips are concatenated; otherwise added.
        dropout: share of the channels of the encoder's shortcuts that are 0 in training.
        draw: see `backends/torch/methods/base.py`; asked only for dropout.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        features: int,
        concatenate: bool = True,
        dropout: float = 0.0,
        draw: Draw = draw,
    ) -> None:
        super().__init__()
        self.dropout, self.draw, self.suffix = dropout, draw, ""
        self.weight = nn.Parameter(torch.ones(len(LEVELS)))
        self.bias = nn.Parameter(torch.zeros(len(LEVELS)))
        self.encoder = PackEncoder(widths, features, dropout, self._drawn)
        self.decoder = PackDecoder(widths, features, concatenate)
        self.mconvs = SparseBranch(widths[1:], SIZES)

    def fuse_packing(self, wanted: bool) -> None:
        """Whether prediction may take one convolution for two, see `Pack`."""
        self.encoder.fuse_packing(wanted)

    def forward(self, image: Tensor, input_depth: Tensor | None = None, both: bool = False) -> list[Tensor]:
        """RGB in [0, 1], sparse depth → disparities in (0, 2), 1 / m, (B, 1, H / 2^i, W / 2^i) for i = 0 to 3.

        Args:
            image: (B, 3, H, W).
            input_depth: (B, 1, H, W) in metres, 0 where unknown; None: from the image alone.
            both: four without and four with depth, and how far the features are apart: `both`.

        Raises:
            ValueError: H or W is no multiple of 32.
        """
        if both:
            plain, completed, apart = self.both(image, input_depth)
            return [*plain, *completed, apart]
        features = self.encoder(image)
        if input_depth is not None:
            features = self.completed(features, input_depth)
        return self.decoder(features)

    def disparity(self, image: Tensor, input_depth: Tensor | None = None) -> Tensor:
        """The first output of `forward`."""
        return self.forward(image, input_depth)[0]

    def both(self, image: Tensor, input_depth: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The disparities from RGB alone; those from both; and how far the features are apart, a scalar.

        Only the features of RGB alone learn from the latter. Dropout is drawn for each of the two; without it the
        encoder runs once.
        """
        plain = again = self.encoder(image)
        if self.encoder.training and self.dropout > 0:
            self.suffix = SECOND
            again = self.encoder(image)
            self.suffix = ""
        completed = self.completed(again, input_depth)
        # The first skip sees no depth and no dropout: its difference is 0, but it counts.
        differences = [
            (one.detach() - other).square().mean()
            for one, other in zip(completed[1:], plain[1:], strict=True)
        ]
        apart = torch.stack(differences).sum() / len(plain)
        return self.decoder(plain), self.decoder(completed), apart

    def completed(self, features: list[Tensor], input_depth: Tensor) -> list[Tensor]:
        """Features of the encoder, those behind the first with what the sparse branch makes of the depth (eq. 4)."""
        sparse = self.mconvs(input_depth)
        return features[:1] + [
            dense * self.weight[level] + sparse[level] + self.bias[level]
            for level, dense in enumerate(features[1:])
        ]

    def _drawn(self, name: str, shape: tuple[int, ...], kind: str) -> Tensor:
        """What the encoder draws, by names that tell the passes apart."""
        return self.draw(name + self.suffix, shape, kind)
