"""torchvision's ResNets from their rules."""

from torch import Tensor, nn

from backends.torch.networks.resnet import ResNet
from backends.torch.tensors import to_tensor
from core.weights.families.torchvision import ImageNetResNet
from core.weights.verification import fixed_images


def make_network(rule: ImageNetResNet) -> nn.Module:
    """The ResNet without its classifier, with fresh weights."""
    return ResNet(rule.num_layers, rule.images)


def network_outputs(rule: ImageNetResNet, networks: dict[str, nn.Module]) -> list[Tensor]:
    """Features of fixed images."""
    return networks[rule.file](to_tensor(fixed_images(rule.images)))
