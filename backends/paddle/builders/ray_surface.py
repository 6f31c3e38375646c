"""The networks of neural ray surfaces from their rules."""

from paddle import Tensor, nn

from backends.paddle.networks.pose_resnet import PoseResNet
from backends.paddle.networks.ray_surface_resnet import RaySurfaceResNet
from backends.paddle.tensors import to_tensor
from core.weights.families import ray_surface as rules
from core.weights.families.base import Network
from core.weights.verification import fixed_images


def make_network(rule: Network) -> nn.Layer:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.RayDepth():
            return RaySurfaceResNet(rule.num_layers, rule.size, rule.masked, rule.shared)
        case rules.RayPose():
            return PoseResNet(rule.num_layers)
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Layer]) -> list[Tensor]:
    """Disparities and what is added to the template of a fixed image; the motion between two."""
    network = networks[rule.file]
    if rule.file == "depth":
        found = network(to_tensor(fixed_images(1)))
        return [*found.disparities, found.ray_residual]
    images = fixed_images(2)
    return [network(to_tensor(images[:, :3]), [to_tensor(images[:, 3:])])]
