"""Pose decoder over the coarsest encoder features (Godard et al. 2019, section 4)."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder


class PoseDecoder(nn.Layer):
    """Feature pyramids → axis-angle and translation of `poses` rigid motions.

    Args:
        feature_channels: channels of the coarsest feature.
        inputs: number of feature pyramids: 1 when the encoder saw stacked images, else one per frame.
        poses: number of motions predicted.
    """

    def __init__(self, feature_channels: int, inputs: int, poses: int) -> None:
        super().__init__()
        self.poses = poses
        self.net = nn.LayerList(
            [
                nn.Conv2D(feature_channels, 256, kernel_size=1),
                nn.Conv2D(inputs * 256, 256, kernel_size=3, padding=1),
                nn.Conv2D(256, 256, kernel_size=3, padding=1),
                nn.Conv2D(256, 6 * poses, kernel_size=1),
            ]
        )
        initialize_decoder(self)

    def forward(self, pyramids: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Feature pyramids, of which the coarsest level counts → axis-angle, translation, (B, poses, 1, 3) each."""
        squeeze, first, second, last = self.net
        x = paddle.concat([F.relu(squeeze(features[-1])) for features in pyramids], axis=1)
        x = last(F.relu(second(F.relu(first(x)))))
        motion = 0.01 * x.mean(axis=[2, 3]).reshape([-1, self.poses, 1, 6])
        return motion[..., :3], motion[..., 3:]
