"""The light pose network of SfMLearner (Zhou et al. 2017), as Monodepth2 offers it."""

import paddle.nn.functional as F
from paddle import Tensor, nn

from backends.paddle.networks.initialization import initialize_decoder

CHANNELS = (16, 32, 64, 128, 256, 256, 256)
KERNEL_SIZES = (7, 5, 3, 3, 3, 3, 3)


class PoseCNN(nn.Layer):
    """Stacked images → axis-angle and translation of images − 1 rigid motions."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.poses = images - 1
        # Declared first: the official file has it before the seven layers.
        self.pose_conv = nn.Conv2D(256, 6 * self.poses, kernel_size=1)
        in_channels = (3 * images, *CHANNELS[:-1])
        self.net = nn.LayerList(
            nn.Conv2D(inputs, outputs, size, stride=2, padding=size // 2)
            for inputs, outputs, size in zip(in_channels, CHANNELS, KERNEL_SIZES, strict=True)
        )
        initialize_decoder(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3 · images, H, W) RGB in [0, 1], not normalised → axis-angle, translation, (B, images − 1, 1, 3) each."""
        x = images
        for convolution in self.net:
            x = F.relu(convolution(x))
        motion = 0.01 * self.pose_conv(x).mean(axis=[2, 3]).reshape([-1, self.poses, 1, 6])
        return motion[..., :3], motion[..., 3:]
