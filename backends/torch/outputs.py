"""Networks built from the rules of their release, and what they return for fixed inputs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from backends.torch.checkpoint import load_network_state
from backends.torch.networks.depth_decoder import DepthDecoder
from backends.torch.networks.pose_cnn import PoseCNN
from backends.torch.networks.pose_decoder import PoseDecoder
from backends.torch.networks.resnet import ResNetEncoder
from backends.torch.tensors import to_array, to_tensor
from core.weights.families import monodepth2 as rules
from core.weights.families.base import Network
from core.weights.families.resnet import feature_channels
from core.weights.families.torchvision import ImageNetResNet
from core.weights.sources import WeightsFile, read_network
from core.weights.verification import fixed_features, fixed_images


def make_network(rule: Network) -> nn.Module:
    """The network that a rule describes, with fresh weights."""
    match rule:
        case rules.Encoder() | ImageNetResNet():
            return ResNetEncoder(rule.num_layers, rule.images)
        case rules.Decoder():
            return DepthDecoder(list(feature_channels(rule.bottleneck)), list(rule.scales), rule.outputs)
        case rules.PoseDecoder():
            return PoseDecoder(feature_channels(rule.bottleneck)[-1], rule.inputs, rule.poses)
        case rules.PoseCNN():
            return PoseCNN(rule.images)
        case _:
            raise TypeError(f"no network for {rule}")


def load_network(file: WeightsFile) -> nn.Module:
    """The network in a file, in evaluation mode.

    Raises:
        UserError: the file is not exactly that network.
    """
    network, state = make_network(file.network), file.state
    if isinstance(file.network, ImageNetResNet):
        state = {rules.PREFIX + name: array for name, array in state.items()}
    load_network_state(network, state, str(file.path))
    return network.eval()


def network_outputs(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """What the networks in some files return, `{"<network>/<number>": array}`.

    Encoders see fixed images; decoders the features of their encoder, or fixed ones when it is not among the files.
    """
    files = [read_network(path) for path in paths]
    networks = {file.network.file: load_network(file) for file in files}
    outputs = {}
    with torch.no_grad():
        for file in files:
            tensors = _outputs(file.network, networks)
            outputs |= {f"{file.network.file}/{number}": to_array(t) for number, t in enumerate(tensors)}
    return outputs


def _outputs(rule: Network, networks: dict[str, nn.Module]) -> list[Tensor]:
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
        return [to_tensor(feature) for feature in fixed_features(bottleneck)]
    channels = 3 * encoder.images
    images = fixed_images(encoder.images * (position + 1))[:, channels * position :]
    return encoder(to_tensor(images))
