"""torchvision's ResNets, as ImageNet weights come: flat names, with the classifier.

The Paddle Monodepthv2's `resnet18_pretrain.h5` is such a file.
"""

from dataclasses import dataclass
from typing import ClassVar

from core.weights.families.base import MethodFamily, Network, Shape, Shapes
from core.weights.families.resnet import CLASSIFIER, resnet_of, resnet_shapes


@dataclass(frozen=True)
class ImageNetResNet(Network):
    """A whole ResNet."""

    num_layers: int
    images: int = 1
    family: ClassVar[str] = "torchvision"
    paddle_family: ClassVar[str] = "Paddle Monodepthv2"
    options: ClassVar[dict[str, str]] = {"num_layers": "num_layers"}

    @property
    def file(self) -> str:
        return f"resnet{self.num_layers}_pretrain"

    @property
    def title(self) -> str:
        stacked = "" if self.images == 1 else f", {self.images} images"
        return f"ResNet-{self.num_layers}{stacked}"

    @property
    def shapes(self) -> dict[str, Shape]:
        return resnet_shapes(self.num_layers, self.images)

    @property
    def optional(self) -> frozenset[str]:
        return super().optional | set(CLASSIFIER)

    def remark(self, shapes: Shapes) -> str | None:
        """Encoders of other trainings have such names, too, but no classifier."""
        if CLASSIFIER[0] in shapes:
            return None
        return (
            f"is taken for ImageNet's weights, but has no classifier ({CLASSIFIER[0]}), as those have: the encoder of "
            "another training? then put encoder. in front of its names, and use it as encoder.pth of a folder"
        )


def recognise(shapes: Shapes) -> Network | None:
    """The network with these names, or None."""
    found = resnet_of(shapes)
    return None if found is None else ImageNetResNet(*found)


# No method's: its files are no part of a model's folder, and are recognised alone.
FAMILY = MethodFamily(method="", networks={"resnet": recognise})
