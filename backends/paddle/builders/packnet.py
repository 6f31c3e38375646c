"""PackNet's networks from their rules."""

from paddle import Tensor, nn

from backends.paddle.networks.depth_resnet import DepthResNet
from backends.paddle.networks.group_pose_net import GroupPoseNet
from backends.paddle.networks.packnet import PackNet
from backends.paddle.networks.pose_resnet import PoseResNet
from backends.paddle.tensors import to_tensor
from core.weights.families import packnet as rules
from core.weights.families.base import Network
from core.weights.verification import fixed_images


def make_network(rule: Network) -> nn.Layer:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.PackNetDepth():
            network = PackNet(rule.widths, rule.features, rule.concatenate)
            network.fuse_packing(False)  # what is compared are the weights
            return network
        case rules.GroupPose():
            return GroupPoseNet(rule.sources)
        case rules.ResNetDepth():
            return DepthResNet(rule.num_layers)
        case rules.ResNetPose():
            return PoseResNet(rule.num_layers)
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Layer]) -> list[Tensor]:
    """A depth network sees a fixed image, a pose network several."""
    network = networks[rule.file]
    if rule.file == "depth":
        return list(network(to_tensor(fixed_images(1))))
    sources = getattr(rule, "sources", 1)
    images = fixed_images(1 + sources)
    target, *others = (to_tensor(images[:, 3 * place : 3 * place + 3]) for place in range(1 + sources))
    return [network(target, others)]
