"""Pose network of seven strided convolutions with group norm (Guizilini et al. 2020, section 5.1)."""

import paddle
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_xavier
from backends.paddle.networks.packing import group_norm

CHANNELS = (16, 32, 64, 128, 256, 256, 256)
SIZES = (7, 5, 3, 3, 3, 3, 3)


class GroupPoseNet(nn.Layer):
    """A target and its sources → the motion of each.

    Args:
        sources: number of source images.
    """

    def __init__(self, sources: int) -> None:
        super().__init__()
        self.sources = sources
        inputs = (3 * (1 + sources), *CHANNELS)
        for number, size in enumerate(SIZES, start=1):
            outputs = CHANNELS[number - 1]
            convolution = nn.Conv2D(inputs[number - 1], outputs, size, stride=2, padding=(size - 1) // 2)
            self.add_sublayer(f"conv{number}", nn.Sequential(convolution, group_norm(outputs), nn.ReLU()))
        self.pose_pred = nn.Conv2D(CHANNELS[-1], 6 * sources, kernel_size=1)
        initialize_xavier(self)

    def forward(self, target: Tensor, sources: list[Tensor]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1] each → (B, sources, 6): translation x y z, then angles about x y z, radians."""
        x = paddle.concat([target, *sources], axis=1)
        for number in range(1, len(SIZES) + 1):
            x = getattr(self, f"conv{number}")(x)
        return 0.01 * self.pose_pred(x).mean(axis=[2, 3]).reshape([-1, self.sources, 6])
