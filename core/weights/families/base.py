"""What a rule for a network's file says, whatever the release."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


class Network(ABC):
    """One network of one release with its parameters: the names and shapes of its file follow.

    Attributes:
        family: the release.
        options: the option that each parameter follows, for messages.
    """

    family: ClassVar[str]
    options: ClassVar[dict[str, str]] = {}

    @property
    @abstractmethod
    def file(self) -> str:
        """The name that loaders look for, without extension."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The network and its parameters, such as `pose encoder, ResNet-50, 2 images`."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """Official name to shape, in the order of the official file."""

    @property
    def optional(self) -> frozenset[str]:
        """Names that a file may lack and that nothing computes with, or that are plain numbers."""
        return frozenset(name for name in self.shapes if is_counter(name))

    def __str__(self) -> str:
        return f"{self.family}'s {self.title}"


def is_counter(name: str) -> bool:
    """Whether this is PyTorch's counter of batches, which PaddlePaddle does not have and nothing computes with."""
    return name.endswith("num_batches_tracked")


def side(shapes: Shapes, name: str, axis: int) -> int:
    """A side of a tensor, 0 when the tensor is absent or has another number of dimensions."""
    shape = shapes.get(name, ())
    return shape[axis] if axis < len(shape) else 0
