"""Pose decoder whose output is the mean over the image: axis-angle first, then translation."""

import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder


class AxisanglePoseDecoder(nn.Layer):
    """The features of two stacked images → one rigid motion.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        self.reduce = nn.Conv2D(feature_channels[-1], 256, kernel_size=1)
        self.conv1 = nn.Conv2D(256, 256, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2D(256, 256, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2D(256, 6, kernel_size=1)
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Five features, of which the coarsest counts → axis-angle, translation, (B, 3) each."""
        x = F.relu(self.reduce(features[-1]))
        x = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
        motion = 0.01 * x.mean(axis=3).mean(axis=2)
        return motion[:, :3], motion[:, 3:]
