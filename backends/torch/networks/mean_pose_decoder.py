"""Pose decoder whose output is the mean over the image: translation first, then rotation."""

import torch.nn.functional as F
from torch import Tensor, nn

from backends.torch.networks.initialization import initialize_decoder


class MeanPoseDecoder(nn.Module):
    """The features of two stacked images → six numbers of one rigid motion.

    Args:
        feature_channels: channels of the encoder's five features, finest first.
    """

    def __init__(self, feature_channels: list[int]) -> None:
        super().__init__()
        self.conv_squeeze = nn.Conv2d(feature_channels[-1], 256, kernel_size=1)
        self.convs_pose = nn.ModuleList(
            [
                nn.Conv2d(256, 256, kernel_size=3, padding=1),
                nn.Conv2d(256, 256, kernel_size=3, padding=1),
                nn.Conv2d(256, 6, kernel_size=1),
            ]
        )
        initialize_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Five features, of which the coarsest counts → (B, 6): translation x y z, then angles about x y z, radians."""
        first, second, last = self.convs_pose
        x = F.relu(self.conv_squeeze(features[-1]))
        x = last(F.relu(second(F.relu(first(x)))))
        return 0.01 * x.mean(dim=(2, 3))
