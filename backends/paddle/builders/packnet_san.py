"""PackNet-SAN's networks from their rules."""

from paddle import Tensor, nn

from backends.paddle.builders import packnet
from backends.paddle.networks.packnet_san import PackNetSAN
from backends.paddle.tensors import to_tensor
from core.weights.families import packnet_san as rules
from core.weights.families.base import Network
from core.weights.verification import fixed_depth, fixed_images


def make_network(rule: Network) -> nn.Layer:
    """The network that a rule describes, with fresh weights."""
    if not isinstance(rule, rules.SANDepth):
        return packnet.make_network(rule)
    network = PackNetSAN(rule.widths, rule.features)
    network.fuse_packing(False)  # what is compared are the weights
    return network


def network_outputs(rule: Network, networks: dict[str, nn.Layer]) -> list[Tensor]:
    """A depth network sees a fixed image, and the same with fixed depth; a pose network several."""
    if rule.file != "depth":
        return packnet.network_outputs(rule, networks)
    network, image = networks[rule.file], to_tensor(fixed_images(1))
    return [*network(image), *network(image, to_tensor(fixed_depth()))]
