"""EPCDepth's releases (Peng et al., ICCV 2021): encoder, depth.

Its program writes both networks into one file, `checkpoint_epoch*.pth.tar` or `model*.pth.tar`, under `encoder` and
`depth_decoder`, beside the epoch, metrics, and the states of optimiser and scheduler. The names inside are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.methods.epcdepth import NETWORKS, EPCDepthOptions
from core.weights.families.base import MethodFamily, Network, Shape, Shapes, State, side
from core.weights.families.resnet import (
    CLASSIFIER,
    FIRST_BOTTLENECK,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder."
HEADS = "encoder_disps."
CONTAINERS = {"encoder": "encoder", "depth_decoder": "depth"}  # in a file of both: our file
# Levels, channels inside and channels of the result of the U-blocks: of the decoder's stages, coarsest first, and of
# the heads on the encoder's features, finest first.
STAGES = {5: (3, 64, 256), 4: (4, 32, 128), 3: (5, 16, 64), 2: (6, 8, 32), 1: (7, 4, 16)}
HEAD_BLOCKS = ((7, 32, 64), (6, 32, 64), (5, 64, 128), (4, 128, 256), (3, 256, 512))
PLAIN_CHANNELS = {5: 256, 4: 128, 3: 64, 2: 32, 1: 16}


class _Network(Network):
    family: ClassVar[str] = "EPCDepth"


@dataclass(frozen=True)
class Encoder(_Network):
    """The ResNet."""

    num_layers: int
    images: ClassVar[int] = 1
    options: ClassVar[dict[str, str]] = {"num_layers": "num_layers"}
    # In its authors' files; nothing computes with it.
    classifier: ClassVar[frozenset[str]] = frozenset(PREFIX + name for name in CLASSIFIER)
    file: ClassVar[str] = "encoder"

    @property
    def title(self) -> str:
        return f"encoder, ResNet-{self.num_layers}"

    @property
    def shapes(self) -> dict[str, Shape]:
        return {PREFIX + name: shape for name, shape in resnet_shapes(self.num_layers, self.images).items()}

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """`num_layers`, where it is another ResNet's."""
        layers = options.get("num_layers", self.num_layers)
        if layers == self.num_layers:
            return None
        return f"--num_layers {layers}, but its encoder is a ResNet-{self.num_layers}"


@dataclass(frozen=True)
class FullScaleDepth(_Network):
    """The full-scale decoder.

    Attributes:
        bottleneck: for ResNet-50 and deeper.
        heads: it has those on the encoder's features, which training alone needs.
    """

    bottleneck: bool
    heads: bool = True
    options: ClassVar[dict[str, str]] = {"bottleneck": "num_layers"}
    file: ClassVar[str] = "depth"

    @property
    def title(self) -> str:
        heads = "" if self.heads else ", without the encoder's heads"
        return f"full-scale depth decoder for {_resnets(self.bottleneck)}{heads}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        skips = feature_channels(self.bottleneck)
        inputs = skips[-1]
        for stage, (levels, middle, outputs) in STAGES.items():
            skip = skips[stage - 2] if stage > 1 else 0
            found |= u_block(f"stage{stage}d.", levels, inputs + skip, middle, outputs)
            inputs = outputs
        found |= self._heads if self.heads else {}
        for row, (_, _, outputs) in enumerate(STAGES.values()):
            found |= _convolution(f"disps.{row}.0", 1, outputs)
        return found

    @property
    def _heads(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        features = zip(feature_channels(self.bottleneck), HEAD_BLOCKS, strict=True)
        for row, (channels, (levels, middle, outputs)) in enumerate(features):
            found |= u_block(f"{HEADS}{row}.bottleneck.", levels, channels, middle, outputs)
            found |= _convolution(f"{HEADS}{row}.disp.0", 1, outputs)
        return found

    @property
    def left_out(self) -> frozenset[str]:
        """The heads, where it has none."""
        return frozenset() if self.heads else frozenset(self._heads)

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """Another decoder."""
        if options.get("use_full_scale", True):
            return None
        return "--no_use_full_scale, but its decoder is the full-scale one"

    def fits(self, other: Network) -> bool:
        return _fits(self.bottleneck, other)


@dataclass(frozen=True)
class PlainDepth(_Network):
    """The plain decoder.

    Attributes:
        bottleneck: for ResNet-50 and deeper.
    """

    bottleneck: bool
    options: ClassVar[dict[str, str]] = {"bottleneck": "num_layers"}
    file: ClassVar[str] = "depth"

    @property
    def title(self) -> str:
        return f"plain depth decoder for {_resnets(self.bottleneck)}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        skips = feature_channels(self.bottleneck)
        inputs = skips[-1]
        for level, outputs in PLAIN_CHANNELS.items():
            skip = skips[level - 2] if level > 1 else 0
            found |= _convolution(f"upconv{level}.conv.conv", outputs, inputs)
            found |= _convolution(f"iconv{level}.conv.conv", outputs, outputs + skip)
            inputs = outputs
        for row, level in enumerate((4, 3, 2, 1)):
            found |= _convolution(f"disps.{row}.conv.conv", 1, PLAIN_CHANNELS[level])
        return found

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """Another decoder, or what only that one has."""
        if options.get("use_full_scale", False):
            return "--use_full_scale, but its decoder is the plain one"
        if options.get("padding", "reflect") != "reflect":
            return f"--padding {options['padding']}, but its decoder is the plain one, which always reflects"
        return None

    def fits(self, other: Network) -> bool:
        return _fits(self.bottleneck, other)


def u_block(prefix: str, levels: int, inputs: int, middle: int, outputs: int) -> dict[str, Shape]:
    """Names and shapes of a U-block.

    Args:
        prefix: of the names.
        levels: 3 to 7.
        inputs, middle, outputs: channels.
    """
    rows = {"in": (outputs, inputs), "1": (middle, outputs)}
    rows |= {str(level): (middle, middle) for level in range(2, levels + 1)}
    rows |= {f"{level}d": (middle, 2 * middle) for level in range(levels - 1, 1, -1)}
    rows |= {"1d": (outputs, 2 * middle)}
    found: dict[str, Shape] = {}
    for unit, (into, of) in rows.items():
        found |= _convolution(f"{prefix}rebnconv{unit}.conv_s1", into, of)
    return found


def _convolution(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    """A 3 × 3 convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}


def _resnets(bottleneck: bool) -> str:
    return "ResNet-50 and deeper" if bottleneck else "ResNet-18 or 34"


def _fits(bottleneck: bool, other: Network) -> bool:
    return not isinstance(other, Encoder) or bottleneck == (other.num_layers >= FIRST_BOTTLENECK)


# ---- which network a file holds --------------------------------------------------------------------------


def _encoder(shapes: Shapes) -> Encoder | None:
    inside = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
    found = resnet_of(inside)
    return None if found is None or found[1] != Encoder.images else Encoder(found[0])


def _depth(shapes: Shapes) -> FullScaleDepth | PlainDepth | None:
    if any(name.startswith(("stage5d.", "stage1d.", HEADS)) for name in shapes):
        channels = side(shapes, "stage5d.rebnconvin.conv_s1.weight", 1)
        heads = any(name.startswith(HEADS) for name in shapes)
        return FullScaleDepth(channels == sum(feature_channels(True)[3:]), heads)
    if any(name.startswith(("upconv5.", "iconv5.")) for name in shapes):
        return PlainDepth(side(shapes, "upconv5.conv.conv.weight", 1) == feature_channels(True)[-1])
    return None


# ---- both networks in one file ---------------------------------------------------------------------------


def split(state: State) -> dict[str, dict[str, Any]] | None:
    """The networks in its program's file, whose names begin with those of their container; None for another file."""
    if not any(name.startswith("depth_decoder.") for name in state):
        return None
    found: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        container, _, own = name.partition(".")
        if container not in CONTAINERS:
            return None
        found.setdefault(CONTAINERS[container], {})[own] = value
    return found


def join(states: Mapping[str, State]) -> dict[str, Any]:
    """The names in its program's file."""
    return {
        f"{container}.{name}": value
        for container, file in CONTAINERS.items()
        for name, value in states.get(file, {}).items()
    }


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> EPCDepthOptions:
    """ResNet and decoder; the files say neither the size they were trained at nor how the decoder pads."""
    encoder, depth = networks.get("encoder"), networks.get("depth")
    found: dict[str, Any] = {}
    if isinstance(encoder, Encoder):
        found["num_layers"] = encoder.num_layers
    if depth is not None:
        found["use_full_scale"] = isinstance(depth, FullScaleDepth)
    return EPCDepthOptions(**found)


_RECOGNISERS = {"encoder": _encoder, "depth": _depth}
FAMILY = MethodFamily(
    method="epcdepth",
    networks={name: _RECOGNISERS[name] for name in NETWORKS},
    options_of=options_of,
    split=split,
    join=join,
    containers=tuple(CONTAINERS),
    optimised=("encoder", "depth"),
    untold=("height", "width"),
)
