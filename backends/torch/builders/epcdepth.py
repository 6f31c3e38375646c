"""EPCDepth's networks from their rules."""

from torch import Tensor, nn

from backends.torch.networks.full_scale_decoder import FullScaleDecoder
from backends.torch.networks.plain_depth_decoder import PlainDepthDecoder
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import to_tensor
from core.weights.families import epcdepth as rules
from core.weights.families.base import Network
from core.weights.families.resnet import feature_channels
from core.weights.verification import fixed_features, fixed_images


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.Encoder():
            return ResNetEncoder(rule.num_layers, rule.images)
        case rules.FullScaleDepth():
            return FullScaleDecoder(list(feature_channels(rule.bottleneck)))
        case rules.PlainDepth():
            return PlainDepthDecoder(list(feature_channels(rule.bottleneck)))
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Module]) -> list[Tensor]:
    """The encoder sees a fixed image; decoders the features of their encoder, or fixed ones when it is not there.

    Outputs of heads that a file lacks are left out.
    """
    network = networks[rule.file]
    match rule:
        case rules.FullScaleDepth() if not rule.heads:
            features = _pyramid(networks.get("encoder"), rule.bottleneck)
            return list(network.decode(features, range(len(rules.STAGES))).values())
        case rules.FullScaleDepth() | rules.PlainDepth():
            return list(network(_pyramid(networks.get("encoder"), rule.bottleneck)))
        case _:
            return list(network(to_tensor(fixed_images(network.images))))


def _pyramid(encoder: nn.Module | None, bottleneck: bool) -> list[Tensor]:
    """Five features of a fixed image, or fixed ones."""
    if encoder is None:
        return [to_tensor(feature) for feature in fixed_features(feature_channels(bottleneck))]
    return encoder(to_tensor(fixed_images(encoder.images)))
