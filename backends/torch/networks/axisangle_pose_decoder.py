"""Pose decoder whose output is the mean over the image: axis-angle first, then translation."""

import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.networks.initialization import initialize_decoder


class AxisanglePoseDecoder(nn.Module):
    """The features of two stacked images → one rigid motion.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(feature_channels[-1], 256, kernel_size=1)
        self.conv1 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(256, 256, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(256, 6, kernel_size=1)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Five features, of which the coarsest counts → axis-angle, translation, (B, 3) each."""
        x = F.relu(self.reduce(features[-1]))
        x = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        motion = 0.01 * x.mean(dim=3).mean(dim=2)
        return motion[:, :3], motion[:, 3:]
