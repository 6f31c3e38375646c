"""FeatDepth's releases (Shu et al., ECCV 2020): depth, pose, and an autoencoder whose encoder extracts features.

Its program writes `epoch_*.pth`: a `state_dict` of all networks of a model, each under a prefix; beside it `meta` with
the number of epochs that are done, and one Adam of all networks.

| ours | its program |
|---|---|
| `encoder`, `encoder.conv1.weight` | `DepthEncoder.encoder.conv1.weight` |
| `depth`, `reduce4.conv.weight` | `DepthDecoder.reduce4.conv.weight` |
| `pose_encoder`, `pose` | `PoseEncoder.…`, `PoseDecoder.…` |
| `extractor`, `encoder.conv1.weight` | `extractor.encoder.conv1.weight` |
| `image_encoder`, `image_decoder` | `Encoder.…`, `Decoder.…` |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.options.methods.featdepth import LAYERS, NETWORKS, FeatDepthOptions
from core.weights.families.base import MethodFamily, Network, Prefixes, Shape, Shapes, State, side
from core.weights.families.resnet import (
    CLASSIFIER,
    FIRST_BOTTLENECK,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder."
PREFIXES = {
    "DepthEncoder.": "encoder",
    "DepthDecoder.": "depth",
    "PoseEncoder.": "pose_encoder",
    "PoseDecoder.": "pose",
    "extractor.": "extractor",
    "Encoder.": "image_encoder",
    "Decoder.": "image_decoder",
}
LEVELS = (4, 3, 2, 1)  # of the depth decoder, coarsest first
WIDTH, STAGES = 256, 4
IMAGE_WIDTHS = {5: 256, 4: 128, 3: 64, 2: 32, 1: 16}  # of the image decoder, by level
# The option of the layers of each ResNet.
LAYERS_OF = {
    "encoder": "num_layers",
    "pose_encoder": "pose_layers",
    "extractor": "extractor_layers",
    "image_encoder": "extractor_layers",
}


class _Network(Network):
    family: ClassVar[str] = "FeatDepth"


@dataclass(frozen=True)
class Encoder(_Network):
    """The ResNet of depth, of features or of the autoencoder (one image), or of pose (two).

    Attributes:
        role: the name of its file, which content alone does not tell.
    """

    num_layers: int
    images: int = 1
    role: str = "encoder"
    # Of the backbone; nothing computes with it, and its authors' program wants it.
    classifier: ClassVar[frozenset[str]] = frozenset(PREFIX + name for name in CLASSIFIER)

    @property
    def file(self) -> str:
        return self.role

    @property
    def options(self) -> dict[str, str]:  # type: ignore[override]
        return {"num_layers": LAYERS_OF[self.role]}

    @property
    def title(self) -> str:
        return f"{self.role.replace('_', ' ')}, ResNet-{self.num_layers}"

    @property
    def shapes(self) -> dict[str, Shape]:
        resnet = resnet_shapes(self.num_layers, self.images)
        return {PREFIX + name: shape for name, shape in resnet.items()}

    def named(self, file: str) -> "Encoder":
        """Encoders of one image are alike."""
        fits = self.images == 1 and file in LAYERS_OF and file != "pose_encoder"
        return replace(self, role=file) if fits else self

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """The option of its layers, where that is another ResNet's."""
        name = LAYERS_OF[self.role]
        layers = options.get(name, self.num_layers)
        if layers == self.num_layers:
            return None
        return f"--{name} {layers}, but its {self.role.replace('_', ' ')} is a ResNet-{self.num_layers}"


@dataclass(frozen=True)
class _Decoder(_Network):
    """What follows an encoder.

    Attributes:
        bottleneck: for ResNet-50 and deeper.
    """

    bottleneck: bool
    after: ClassVar[str]  # the encoder's file

    @property
    def title(self) -> str:
        resnets = "ResNet-50 and deeper" if self.bottleneck else "ResNet-18 or 34"
        words = self.file.replace("_", " ").removesuffix(" decoder")
        return f"{words} decoder for {resnets}"

    def fits(self, other: Network) -> bool:
        if not isinstance(other, Encoder) or other.role != self.after:
            return True
        return self.bottleneck == (other.num_layers >= FIRST_BOTTLENECK)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Channels of the encoder's five features."""
        return feature_channels(self.bottleneck)


@dataclass(frozen=True)
class ResidualPoolingDepth(_Decoder):
    """The depth decoder."""

    file: ClassVar[str] = "depth"
    after: ClassVar[str] = "encoder"
    options: ClassVar[dict[str, str]] = {"bottleneck": "num_layers"}

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for level in LEVELS:
            width = 2 * WIDTH if level == LEVELS[0] else WIDTH
            found[f"reduce{level}.conv.weight"] = (width, self.inputs[level], 1, 1)
        for level in LEVELS:
            # The wider feature of the coarsest level, or a feature, what comes from below and its sigmoid.
            found |= _convolution(f"iconv{level}.conv", WIDTH, 2 * WIDTH + (level != LEVELS[0]), 3)
        for level in LEVELS:
            for stage in range(1, STAGES + 1):
                found[f"crp{level}.0.{stage}_pointwise.conv.weight"] = (WIDTH, WIDTH, 1, 1)
        for level in LEVELS:
            found |= _convolution(f"merge{level}.conv", WIDTH, WIDTH, 3)
        for level in LEVELS:
            found |= _convolution(f"disp{level}.0.conv", 1, WIDTH, 3)
        return found


@dataclass(frozen=True)
class AxisanglePose(_Decoder):
    """The pose decoder."""

    file: ClassVar[str] = "pose"
    after: ClassVar[str] = "pose_encoder"
    options: ClassVar[dict[str, str]] = {"bottleneck": "pose_layers"}

    @property
    def shapes(self) -> dict[str, Shape]:
        return (
            _convolution("reduce", WIDTH, self.inputs[-1], 1)
            | _convolution("conv1", WIDTH, WIDTH, 3)
            | _convolution("conv2", WIDTH, WIDTH, 3)
            | _convolution("conv3", 6, WIDTH, 1)
        )


@dataclass(frozen=True)
class Images(_Decoder):
    """The autoencoder's decoder."""

    file: ClassVar[str] = "image_decoder"
    after: ClassVar[str] = "image_encoder"
    options: ClassVar[dict[str, str]] = {"bottleneck": "extractor_layers"}

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        inputs = self.inputs[-1]
        for level, width in IMAGE_WIDTHS.items():
            found |= _convolution(f"upconv{level}.conv.conv", width, inputs, 3)
            inputs = width
        for level, width in IMAGE_WIDTHS.items():
            found |= _convolution(f"iconv{level}.conv.conv", width, width, 3)
        for level in LEVELS:
            found |= _convolution(f"disp{level}.conv", 3, IMAGE_WIDTHS[level], 3)
        return found


def _convolution(name: str, outputs: int, inputs: int, size: int) -> dict[str, Shape]:
    """A convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


# ---- which network a file holds --------------------------------------------------------------------------


def _encoder(shapes: Shapes) -> Encoder | None:
    inside = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
    found = resnet_of(inside)
    if found is None or found[0] not in LAYERS or found[1] > 2:
        return None
    num_layers, images = found
    return Encoder(num_layers, images, "encoder" if images == 1 else "pose_encoder")


def _depth(shapes: Shapes) -> ResidualPoolingDepth | None:
    if not any(name.startswith(("reduce4.", "crp", "merge")) for name in shapes):
        return None
    return ResidualPoolingDepth(_is_bottleneck(side(shapes, "reduce4.conv.weight", 1)))


def _pose(shapes: Shapes) -> AxisanglePose | None:
    if "reduce.weight" not in shapes and "reduce.bias" not in shapes:
        return None
    return AxisanglePose(_is_bottleneck(side(shapes, "reduce.weight", 1)))


def _images(shapes: Shapes) -> Images | None:
    own = any(name.startswith("upconv5.conv.") for name in shapes)
    # Another decoder with such names has heads of one channel, which are called otherwise.
    if not own or not any(name.startswith("disp4.conv.") for name in shapes):
        return None
    return Images(_is_bottleneck(side(shapes, "upconv5.conv.conv.weight", 1)))


def _is_bottleneck(channels: int) -> bool:
    """Whether the coarsest feature is that of a ResNet-50 or deeper."""
    return channels == feature_channels(True)[-1]


# ---- all networks in one file ----------------------------------------------------------------------------

_PREFIXED = Prefixes(PREFIXES)


def split(state: State) -> dict[str, dict[str, Any]] | None:
    """The networks in its program's file; None for another file.

    What has a name that it cannot have stays what it is, with the first network, whose rule then refuses it by name.
    """
    strangers = {name: value for name, value in state.items() if not name.startswith(tuple(PREFIXES))}
    found = _PREFIXED.split({name: value for name, value in state.items() if name not in strangers})
    if found:
        next(iter(found.values())).update(strangers)
    return found or None


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> FeatDepthOptions:
    """The model and its ResNets; size, range and frames are in no file."""
    found: dict[str, Any] = {}
    if "encoder" not in networks and "depth" not in networks:
        found["model"] = "autoencoder" if "image_encoder" in networks else "mono_fm"
    elif "image_decoder" in networks or "image_encoder" in networks:
        found["model"] = "mono_fm_joint"
    else:
        found["model"] = "mono_fm" if "extractor" in networks else "baseline"
    for name, option in LAYERS_OF.items():
        network = networks.get(name)
        if isinstance(network, Encoder):
            found[option] = network.num_layers
    if found["model"] == "autoencoder" and "extractor_layers" in found:
        found["num_layers"] = found["extractor_layers"]
    return FeatDepthOptions(**found)


_RECOGNISERS = {"depth": _depth, "pose": _pose, "image_decoder": _images}
FAMILY = MethodFamily(
    method="featdepth",
    networks={name: _RECOGNISERS.get(name, _encoder) for name in NETWORKS},
    options_of=options_of,
    split=split,
    join=_PREFIXED.join,
    optimised=NETWORKS,
    frozen=("extractor",),
    finished=("meta", "epoch"),
    untold=("height", "width", "min_depth", "max_depth"),
)
