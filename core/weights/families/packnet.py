"""PackNet's releases (Guizilini et al., CVPR 2020): depth and pose, each one network with its encoder.

Its program writes `*.ckpt`: a `state_dict` of both networks, and beside it the options of the training, a pickled
`yacs.config.CfgNode`; the epoch that was finished; and one Adam of both networks. Older files have other names.

| ours | its program | older files |
|---|---|---|
| `depth`, `pre_calc.…` | `model.depth_net.pre_calc.…` | `disp_network.…`, `model.model.disp_network.…` |
| `pose`, `pose_pred.…` | `model.pose_net.pose_pred.…` | `pose_network.…`, `model.model.pose_network.…` |
| `depth`, `conv2.0.conv3.weight` | with dropout: `model.depth_net.conv2.0.conv3.0.weight` | |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.methods.packnet import (
    NETWORKS,
    WIDTHS,
    PackNetOptions,
)
from core.options.methods.packnet_tree import configured
from core.weights.families.base import RECORD, MethodFamily, Network, Shape, Shapes, State, side
from core.weights.families.resnet import (
    CLASSIFIER,
    FIRST_BOTTLENECK,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder.encoder."
BLOCKS = {2: 2, 3: 2, 4: 3, 5: 3}  # residual convolutions of a stage of PackNet
HEADS = 4
POSE_CHANNELS = (16, 32, 64, 128, 256, 256, 256)
POSE_SIZES = (7, 5, 3, 3, 3, 3, 3)
DECODER_CHANNELS = (16, 32, 64, 128, 256)
DIVISORS = (1, 2, 4)
# Channels of the first convolution and of the last level: which network that is, and what its channels are divided by.
FIRST_AND_LAST = {
    (widths[0] // divisor, widths[-1] // divisor): (network, divisor)
    for network, (widths, _) in WIDTHS.items()
    for divisor in DIVISORS
    if widths[0] // divisor >= 16
}


class _Network(Network):
    family: ClassVar[str] = "PackNet"


@dataclass(frozen=True)
class PackNetDepth(_Network):
    """PackNet01 or PackNetSlim01.

    Attributes:
        network: as `--depth_network` names it.
        divisor: of its channels; 1 for those that are published.
        concatenate: version A.
    """

    network: str
    divisor: int = 1
    concatenate: bool = True
    file: ClassVar[str] = "depth"
    options: ClassVar[dict[str, str]] = {
        "network": "depth_network",
        "divisor": "width_divisor",
        "concatenate": "version",
    }

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the first convolution and of the five levels."""
        return tuple(width // self.divisor for width in WIDTHS[self.network][0])

    @property
    def features(self) -> int:
        """Of the 3-D convolutions."""
        return WIDTHS[self.network][1] // self.divisor

    @property
    def version(self) -> str:
        """As its program writes it."""
        return "1A" if self.concatenate else "1B"

    @property
    def title(self) -> str:
        name = "PackNet01" if self.network == "packnet01" else "PackNetSlim01"
        divided = f", channels divided by {self.divisor}" if self.divisor > 1 else ""
        return f"depth network, {name} {self.version}{divided}"

    @property
    def shapes(self) -> dict[str, Shape]:
        return packing_shapes(self.widths, self.features, self.concatenate)

    @property
    def refusal(self) -> str | None:
        """Additions of maps of different widths."""
        if self.concatenate or self.network == "packnet01":
            return None
        return "its skips are added, which its widths do not allow; take weights of version A"


@dataclass(frozen=True)
class GroupPose(_Network):
    """PoseNet.

    Attributes:
        sources: images beside the target.
    """

    sources: int
    file: ClassVar[str] = "pose"
    options: ClassVar[dict[str, str]] = {"sources": "frame_ids"}

    @property
    def title(self) -> str:
        return f"pose network, PoseNet for {self.sources} sources"

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        inputs = 3 * (1 + self.sources)
        for number, (outputs, size) in enumerate(zip(POSE_CHANNELS, POSE_SIZES, strict=True), start=1):
            found |= _convolution(f"conv{number}.0", outputs, inputs, size)
            found |= _normalization(f"conv{number}.1", outputs)
            inputs = outputs
        return found | _convolution("pose_pred", 6 * self.sources, inputs, 1)


@dataclass(frozen=True)
class ResNetDepth(_Network):
    """DepthResNet."""

    num_layers: int
    images: ClassVar[int] = 1
    file: ClassVar[str] = "depth"
    options: ClassVar[dict[str, str]] = {"num_layers": "depth_network"}
    # In its authors' files; nothing computes with it.
    classifier: ClassVar[frozenset[str]] = frozenset(PREFIX + name for name in CLASSIFIER)

    @property
    def title(self) -> str:
        return f"depth network, ResNet-{self.num_layers}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found = {PREFIX + name: shape for name, shape in resnet_shapes(self.num_layers, self.images).items()}
        skips = feature_channels(self.num_layers >= FIRST_BOTTLENECK)
        inputs = skips[-1]
        for row, level in enumerate(range(4, -1, -1)):
            outputs, skip = DECODER_CHANNELS[level], skips[level - 1] if level > 0 else 0
            found |= _convolution(f"decoder.decoder.{2 * row}.conv.conv", outputs, inputs, 3)
            found |= _convolution(f"decoder.decoder.{2 * row + 1}.conv.conv", outputs, outputs + skip, 3)
            inputs = outputs
        for scale in range(HEADS):
            found |= _convolution(f"decoder.decoder.{10 + scale}.conv", 1, DECODER_CHANNELS[scale], 3)
        return found


@dataclass(frozen=True)
class ResNetPose(_Network):
    """PoseResNet."""

    num_layers: int
    images: ClassVar[int] = 2
    file: ClassVar[str] = "pose"
    options: ClassVar[dict[str, str]] = {"num_layers": "pose_network"}
    classifier: ClassVar[frozenset[str]] = ResNetDepth.classifier

    @property
    def title(self) -> str:
        return f"pose network, ResNet-{self.num_layers}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found = {PREFIX + name: shape for name, shape in resnet_shapes(self.num_layers, self.images).items()}
        channels = feature_channels(self.num_layers >= FIRST_BOTTLENECK)[-1]
        found |= _convolution("decoder.net.0", 256, channels, 1)
        found |= _convolution("decoder.net.1", 256, 256, 3) | _convolution("decoder.net.2", 256, 256, 3)
        return found | _convolution("decoder.net.3", 12, 256, 1)


def packing_shapes(widths: tuple[int, ...], features: int, concatenate: bool = True) -> dict[str, Shape]:
    """A network that packs and unpacks: the encoder's names, then the decoder's, which begin at `unpack5`.

    Args:
        widths: channels of the first convolution and of the five levels.
        features: of the 3-D convolutions.
        concatenate: version A.
    """
    found = _normalized("pre_calc", widths[0], 3, 5)
    for level in range(1, 6):
        found |= _normalized(
            f"pack{level}.conv", widths[level], 4 * widths[level] * features, 5 if level == 1 else 3
        )
        found |= _convolution_3d(f"pack{level}.conv3d", features)
    found |= _normalized("conv1", widths[1], widths[0], 7)
    for level, count in BLOCKS.items():
        for number in range(count):
            found |= _residual(f"conv{level}.{number}", widths[level], widths[level if number else level - 1])
    for level in range(5, 0, -1):
        outputs = widths[level] if concatenate else widths[level - 1]
        found |= _normalized(f"unpack{level}.conv", 4 * outputs // features, widths[min(level + 1, 5)], 3)
        found |= _convolution_3d(f"unpack{level}.conv3d", features)
    for level in range(5, 0, -1):
        inputs = widths[level - 1] + (widths[level] if concatenate else 0) + (level < HEADS)
        found |= _normalized(f"iconv{level}", widths[level], inputs, 3)
    for level in range(HEADS, 0, -1):
        found |= _convolution(f"disp{level}_layer.conv1", 1, widths[level], 3)
    return found


def _convolution(name: str, outputs: int, inputs: int, size: int) -> dict[str, Shape]:
    """A convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def _convolution_3d(name: str, features: int) -> dict[str, Shape]:
    """A 3-D convolution of one channel with bias."""
    return {f"{name}.weight": (features, 1, 3, 3, 3), f"{name}.bias": (features,)}


def _normalization(name: str, channels: int) -> dict[str, Shape]:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _normalized(name: str, outputs: int, inputs: int, size: int) -> dict[str, Shape]:
    """A convolution and its normalisation."""
    return _convolution(f"{name}.conv_base", outputs, inputs, size) | _normalization(
        f"{name}.normalize", outputs
    )


def _residual(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    """A residual convolution."""
    return (
        _normalized(f"{name}.conv1", outputs, inputs, 3)
        | _normalized(f"{name}.conv2", outputs, outputs, 3)
        | _convolution(f"{name}.conv3", outputs, inputs, 1)
        | _normalization(f"{name}.normalize", outputs)
    )


# ---- which network a file holds --------------------------------------------------------------------------


def _depth(shapes: Shapes) -> PackNetDepth | ResNetDepth | None:
    if any(name.startswith(("pre_calc.", "pack1.", "unpack1.")) for name in shapes):
        first = side(shapes, "pre_calc.conv_base.weight", 0)
        last = side(shapes, "pack5.conv.conv_base.weight", 0)
        nearest = min(FIRST_AND_LAST, key=lambda pair: (pair != (first, last), pair[1] != last))
        network, divisor = FIRST_AND_LAST[nearest]
        skip = side(shapes, "iconv5.conv_base.weight", 1)
        return PackNetDepth(network, divisor, skip != WIDTHS[network][0][4] // divisor)
    layers = layers_beside(shapes, "decoder.decoder.", ResNetDepth.images)
    return None if layers is None else ResNetDepth(layers)


def _pose(shapes: Shapes) -> GroupPose | ResNetPose | None:
    if any(name.startswith("pose_pred.") for name in shapes):
        return GroupPose(max(side(shapes, "pose_pred.weight", 0) // 6, 1))
    layers = layers_beside(shapes, "decoder.net.", ResNetPose.images)
    return None if layers is None else ResNetPose(layers)


def layers_beside(shapes: Shapes, decoder: str, images: int) -> int | None:
    """Layers of the ResNet beside a decoder with such names; None for another file."""
    if not any(name.startswith(decoder) for name in shapes):
        return None
    inside = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
    found = resnet_of(inside)
    return None if found is None or found[1] != images else found[0]


# ---- both networks in one file ---------------------------------------------------------------------------

FILES = {"depth_net": "depth", "disp_network": "depth", "pose_net": "pose", "pose_network": "pose"}
PLACE = re.compile(rf"(?:(?:module|model)\.)*({'|'.join(FILES)})\.(?:module\.)?")
OFFICIAL = {"depth": "model.depth_net.", "pose": "model.pose_net."}
# Behind a 1 × 1 convolution stands dropout, where there is any. Of stage 3 all names begin with `conv3`.
# An encoder that is a network of its own has its name before them.
DROPOUT = re.compile(r"((?:encoder\.)?conv[2-5]\.\d+\.conv3)\.0(\.(?:weight|bias))")


def split(state: State) -> dict[str, dict[str, Any]] | None:
    """The networks in its program's file, old or new, or a bare PackNet with dropout; None for another file.

    What has a name that it cannot have stays what it is, with a network, whose rule then refuses it by that name.
    """
    found: dict[str, dict[str, Any]] = {}
    strangers: dict[str, Any] = {}
    for name, value in state.items():
        place = PLACE.match(name)
        part = found.setdefault(FILES[place[1]], {}) if place else strangers
        own = _without_dropout(name[place.end() :]) if place else name
        part[name if own in part else own] = value
    if not found:
        bare = {_without_dropout(name): value for name, value in state.items()}
        return {"depth": bare} if len(bare) == len(state) and bare.keys() != state.keys() else None
    next(iter(found.values())).update(strangers)
    return {file: found[file] for file in NETWORKS if file in found}


def _without_dropout(name: str) -> str:
    """The name that a parameter has in a network without dropout."""
    return DROPOUT.sub(r"\1\2", name) if DROPOUT.fullmatch(name) else name


def join(states: Mapping[str, State]) -> dict[str, Any]:
    """The names in its program's file, of networks without dropout; a network that is absent is left out."""
    return {
        prefix + name: value
        for file, prefix in OFFICIAL.items()
        for name, value in states.get(file, {}).items()
    }


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> PackNetOptions:
    """The networks, and how many sources the pose network has; size and supervision are beside them, if at all."""
    found: dict[str, Any] = {}
    match networks.get("depth"):
        case PackNetDepth() as depth:
            found |= {"depth_network": depth.network, "width_divisor": depth.divisor}
            found["version"] = depth.version
        case ResNetDepth() as depth:
            found["depth_network"] = f"depth_resnet{depth.num_layers}"
    return PackNetOptions(**found, **pose_options(networks.get("pose")))


def pose_options(pose: Network | None) -> dict[str, Any]:
    """The options that follow from a pose network."""
    match pose:
        case GroupPose(sources=1):
            return {"frame_ids": [0, -1]}
        case ResNetPose():
            return {"pose_network": f"pose_resnet{pose.num_layers}"}
    return {}


_RECOGNISERS = {"depth": _depth, "pose": _pose}
FAMILY = MethodFamily(
    method="packnet",
    networks={name: _RECOGNISERS[name] for name in NETWORKS},
    options_of=options_of,
    split=split,
    join=join,
    optimised=NETWORKS,
    alone=("depth",),
    configuration="config",
    configured=configured,
    untold=("height", "width"),
    stand_ins={("yacs.config", "CfgNode"): RECORD},
)
