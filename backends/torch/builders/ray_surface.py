"""The networks of neural ray surfaces from their rules."""

from torch import Tensor, nn

from backends.torch.builders import packnet
from backends.torch.networks.ray_surface_resnet import RaySurfaceResNet
from backends.torch.tensors import to_tensor
from core.weights.families import ray_surface as rules
from core.weights.families.base import Network
from core.weights.verification import fixed_images


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    if not isinstance(rule, rules.RayDepth):
        return packnet.make_network(rule)
    return RaySurfaceResNet(rule.num_layers, rule.size, rule.masked, rule.shared)


def network_outputs(rule: Network, networks: dict[str, nn.Module]) -> list[Tensor]:
    """Disparities and what is added to the template of a fixed image; the motion between two."""
    if rule.file != "depth":
        return packnet.network_outputs(rule, networks)
    found = networks[rule.file](to_tensor(fixed_images(1)))
    return [*found.disparities, found.ray_residual]
