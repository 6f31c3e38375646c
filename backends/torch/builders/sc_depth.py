"""SC-Depth's networks from their rules."""

from torch import Tensor, nn

from backends.torch.networks.bilinear_depth_decoder import BilinearDepthDecoder
from backends.torch.networks.mean_pose_decoder import MeanPoseDecoder
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import to_tensor
from core.weights.families import sc_depth as rules
from core.weights.families.base import Network
from core.weights.families.resnet import feature_channels
from core.weights.verification import fixed_features, fixed_images


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.Encoder():
            return ResNetEncoder(rule.num_layers, rule.images)
        case rules.Depth():
            return BilinearDepthDecoder(list(feature_channels(rule.bottleneck)))
        case rules.Pose():
            return MeanPoseDecoder(list(feature_channels(rule.bottleneck)))
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Module]) -> list[Tensor]:
    """Encoders see fixed images; decoders the features of their encoder, or fixed ones when it is not there."""
    network = networks[rule.file]
    match rule:
        case rules.Depth():
            return list(network.all_scales(_pyramid(networks.get("encoder"), rule.bottleneck)).values())
        case rules.Pose():
            return [network(_pyramid(networks.get("pose_encoder"), rule.bottleneck))]
        case _:
            return list(network(to_tensor(fixed_images(network.images))))


def _pyramid(encoder: nn.Module | None, bottleneck: bool) -> list[Tensor]:
    """Five features of fixed images, or fixed ones."""
    if encoder is None:
        return [to_tensor(feature) for feature in fixed_features(feature_channels(bottleneck))]
    return encoder(to_tensor(fixed_images(encoder.images)))
