"""ResNet encoder with the classifier that its files keep and nothing reads; whole, its stem alone, or frozen."""

import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

from backends.paddle.networks.resnet import ResNetEncoder

CLASSES = 1000


class ClassifiedEncoder(ResNetEncoder):
    """Features of one image, or of several images stacked along the channels.

    Args:
        num_layers: 18, 34, 50, 101 or 152.
        images: number of stacked RGB images.
        normalize: images are shifted and scaled first, as ImageNet's were; otherwise taken in [0, 1].

    Attributes:
        batch_statistics: in training mode batch normalisation goes by the batch, and its running values move;
            otherwise by the running values, as in evaluation. Every pass looks at it, so that whoever sets the mode of
            a whole model need not.
    """

    batch_statistics = True

    def __init__(self, num_layers: int, images: int = 1, normalize: bool = True) -> None:
        super().__init__(num_layers, images)
        self.normalize = normalize
        self.encoder.fc = nn.Linear(self.channels[-1], CLASSES)
        for parameter in self.encoder.fc.parameters():
            Constant(0.0)(parameter)
            parameter.stop_gradient = True

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3 · images, H, W) RGB in [0, 1] → five features, (B, channels[i], H / 2^(i+1), W / 2^(i+1))."""
        return self.encoder(self._prepared(image))

    def stem(self, image: Tensor) -> Tensor:
        """The first feature, (B, 64, H / 2, W / 2), without what only the others need."""
        return F.relu(self.encoder.bn1(self.encoder.conv1(self._prepared(image))))

    def freeze(self, batch_statistics: bool = True) -> None:
        """Nothing of it learns any more; see `batch_statistics` for what still moves."""
        self.batch_statistics = batch_statistics
        for parameter in self.parameters():
            parameter.stop_gradient = True

    def _prepared(self, image: Tensor) -> Tensor:
        """What the first convolution sees."""
        if not self.batch_statistics:
            self.encoder.eval()
        return (image - 0.45) / 0.225 if self.normalize else image
