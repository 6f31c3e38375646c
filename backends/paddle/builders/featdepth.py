"""FeatDepth's networks from their rules."""

from paddle import Tensor, nn

from backends.paddle.networks.axisangle_pose_decoder import AxisanglePoseDecoder
from backends.paddle.networks.classified_resnet import ClassifiedEncoder
from backends.paddle.networks.image_decoder import ImageDecoder
from backends.paddle.networks.residual_pooling_decoder import ResidualPoolingDecoder
from backends.paddle.tensors import to_tensor
from core.weights.families import featdepth as rules
from core.weights.families.base import Network
from core.weights.families.resnet import feature_channels
from core.weights.verification import fixed_features, fixed_images


def make_network(rule: Network) -> nn.Layer:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.Encoder():
            return ClassifiedEncoder(rule.num_layers, rule.images, rule.role in ("encoder", "pose_encoder"))
        case rules.ResidualPoolingDepth():
            return ResidualPoolingDecoder(list(feature_channels(rule.bottleneck)))
        case rules.AxisanglePose():
            return AxisanglePoseDecoder(list(feature_channels(rule.bottleneck)))
        case rules.Images():
            return ImageDecoder(list(feature_channels(rule.bottleneck)))
        case _:
            raise TypeError(f"no network for {rule}")


def network_outputs(rule: Network, networks: dict[str, nn.Layer]) -> list[Tensor]:
    """Encoders see fixed images; decoders the features of their encoder, or fixed ones when it is not there."""
    network = networks[rule.file]
    if isinstance(rule, rules.Encoder):
        return list(network(to_tensor(fixed_images(network.images))))
    return list(network(_pyramid(networks.get(rule.after), rule.bottleneck)))


def _pyramid(encoder: nn.Layer | None, bottleneck: bool) -> list[Tensor]:
    """Five features of fixed images, or fixed ones."""
    if encoder is None:
        return [to_tensor(feature) for feature in fixed_features(feature_channels(bottleneck))]
    return encoder(to_tensor(fixed_images(encoder.images)))
