"""Monodepth2's networks from their rules."""

from torch import Tensor, nn

from backends.torch.networks.depth_decoder import DepthDecoder
from backends.torch.networks.pose_cnn import PoseCNN
from backends.torch.networks.pose_decoder import PoseDecoder
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import to_tensor
from core.weights.families import monodepth2 as rules
from core.weights.families.base import Network
from core.weights.families.resnet import feature_channels
from core.weights.verification import fixed_features, fixed_images


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.Encoder():
            return ResNetEncoder(rule.num_layers, rule.images)
        case rules.Decoder():
            return DepthDecoder(list(feature_channels(rule.bottleneck)), list(rule.scales), rule.outputs)
        case rules.PoseDecoder():
            return PoseDecoder(feature_channels(rule.bottleneck)[-1], rule.inputs, rule.poses)
        case rules.PoseCNN():
            return PoseCNN(rule.images)
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Module]) -> list[Tensor]:
    """Encoders see fixed images; decoders the features of their encoder, or fixed ones when it is not there."""
    network = networks[rule.file]
    match rule:
        case rules.Decoder():
            return list(network(_pyramid(networks.get("encoder"), 0, rule.bottleneck)).values())
        case rules.PoseDecoder():
            encoder = networks.get("encoder" if rule.inputs > 1 else "pose_encoder")
            return list(network([_pyramid(encoder, i, rule.bottleneck) for i in range(rule.inputs)]))
        case _:
            return list(network(to_tensor(fixed_images(rule.images))))


def _pyramid(encoder: nn.Module | None, position: int, bottleneck: bool) -> list[Tensor]:
    """Five features of the images at a position, or fixed ones."""
    if encoder is None:
        return [to_tensor(feature) for feature in fixed_features(feature_channels(bottleneck))]
    channels = 3 * encoder.images
    images = fixed_images(encoder.images * (position + 1))[:, channels * position :]
    return encoder(to_tensor(images))
