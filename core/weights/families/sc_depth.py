"""SC-Depth's releases (Bian et al., NeurIPS 2019, IJCV 2021), version 1: encoder, depth, pose_encoder, pose.

Two programs wrote their files, all networks in one; what this project writes are the official names without prefixes.

| ours | official | unofficial program for KITTI |
|---|---|---|
| `encoder`, `encoder.conv1.weight` | `depth_net.encoder.encoder.conv1.weight` | `depth_net.encoder.conv1.weight` |
| `depth`, `upconvs0.0.…` | `depth_net.decoder.upconvs0.0.…` | `depth_net.decoder.conv_before_up_sample.0.…` |
| `pose_encoder`, `encoder.conv1.weight` | `pose_net.encoder.encoder.conv1.weight` | `pose_net.encoder.conv1.weight` |
| `pose`, `conv_squeeze.weight` | `pose_net.decoder.conv_squeeze.weight` | `pose_net.decoder.convs.0.conv.weight` |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.methods.sc_depth import NETWORKS, SCDepthOptions
from core.weights.families.base import (
    DROPPED,
    RECORD,
    MethodFamily,
    Network,
    Shape,
    Shapes,
    State,
    is_number,
    side,
)
from core.weights.families.resnet import (
    BLOCKS,
    CLASSIFIER,
    FIRST_BOTTLENECK,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder."
DECODER_CHANNELS = (16, 32, 64, 128, 256)
HEADS = 4  # of scales 0 to 3; the method uses the first
# Layers, channels inside the first block and channels of each of its groups, of torchvision's other ResNets.
FOREIGN = {
    (50, 128, 4): "resnext50_32x4d",
    (101, 256, 8): "resnext101_32x8d",
    (101, 256, 4): "resnext101_64x4d",
    (50, 128, 128): "wide_resnet50_2",
    (101, 128, 128): "wide_resnet101_2",
}


class _Network(Network):
    family: ClassVar[str] = "SC-Depth"


@dataclass(frozen=True)
class Encoder(_Network):
    """The ResNet of the depth network.

    Attributes:
        foreign: which other network of that many layers it is, which the unofficial program takes as well.
    """

    num_layers: int
    foreign: str | None = None
    images: ClassVar[int] = 1
    options: ClassVar[dict[str, str]] = {"num_layers": "num_layers"}
    # Of the backbone, in the official files.
    classifier: ClassVar[frozenset[str]] = frozenset(PREFIX + name for name in CLASSIFIER)

    @property
    def file(self) -> str:
        return "encoder" if self.images == 1 else "pose_encoder"

    @property
    def title(self) -> str:
        return f"{self.file.replace('_', ' ')}, {self.foreign or f'ResNet-{self.num_layers}'}"

    @property
    def shapes(self) -> dict[str, Shape]:
        resnet = resnet_shapes(self.num_layers, self.images)
        return {PREFIX + name: shape for name, shape in resnet.items()}

    @property
    def refusal(self) -> str | None:
        """Another kind of network."""
        if self.foreign is None:
            return None
        known = ", ".join(map(str, BLOCKS))
        words = self.file.replace("_", " ")
        return f"its {words} is a {self.foreign}, which is not here; take weights with a ResNet of {known} layers"

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """The option of its layers, where that is another ResNet's."""
        name = self.options["num_layers"]
        layers = options.get(name, self.num_layers)
        if layers == self.num_layers:
            return None
        return f"--{name} {layers}, but its {self.file.replace('_', ' ')} is a ResNet-{self.num_layers}"


@dataclass(frozen=True)
class PoseEncoder(Encoder):
    """The ResNet of the pose network, over two stacked images."""

    images: ClassVar[int] = 2
    options: ClassVar[dict[str, str]] = {"num_layers": "pose_layers"}


@dataclass(frozen=True)
class Depth(_Network):
    """The depth decoder.

    Attributes:
        bottleneck: for ResNet-50 and deeper.
    """

    bottleneck: bool
    file: ClassVar[str] = "depth"
    options: ClassVar[dict[str, str]] = {"bottleneck": "num_layers"}

    @property
    def title(self) -> str:
        return f"depth decoder for {_resnets(self.bottleneck)}"

    @property
    def shapes(self) -> dict[str, Shape]:
        before: dict[str, Shape] = {}
        after: dict[str, Shape] = {}
        skips = feature_channels(self.bottleneck)
        inputs = skips[-1]
        for row, level in enumerate(range(4, -1, -1)):
            outputs, skip = DECODER_CHANNELS[level], skips[level - 1] if level > 0 else 0
            before |= _convolution(f"upconvs0.{row}.conv.conv", outputs, inputs, 3)
            after |= _convolution(f"upconvs1.{row}.conv.conv", outputs, outputs + skip, 3)
            inputs = outputs
        heads: dict[str, Shape] = {}
        for scale in range(HEADS):
            heads |= _convolution(f"dispconvs.{scale}.conv", 1, DECODER_CHANNELS[scale], 3)
        return before | after | heads

    def fits(self, other: Network) -> bool:
        return type(other) is not Encoder or self.bottleneck == (other.num_layers >= FIRST_BOTTLENECK)


@dataclass(frozen=True)
class Pose(_Network):
    """The pose decoder.

    Attributes:
        bottleneck: for ResNet-50 and deeper.
    """

    bottleneck: bool
    file: ClassVar[str] = "pose"
    options: ClassVar[dict[str, str]] = {"bottleneck": "pose_layers"}

    @property
    def title(self) -> str:
        return f"pose decoder for {_resnets(self.bottleneck)}"

    @property
    def shapes(self) -> dict[str, Shape]:
        return (
            _convolution("conv_squeeze", 256, feature_channels(self.bottleneck)[-1], 1)
            | _convolution("convs_pose.0", 256, 256, 3)
            | _convolution("convs_pose.1", 256, 256, 3)
            | _convolution("convs_pose.2", 6, 256, 1)
        )

    def fits(self, other: Network) -> bool:
        return type(other) is not PoseEncoder or self.bottleneck == (other.num_layers >= FIRST_BOTTLENECK)


def _convolution(name: str, outputs: int, inputs: int, size: int) -> dict[str, Shape]:
    """A convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def _resnets(bottleneck: bool) -> str:
    return "ResNet-50 and deeper" if bottleneck else "ResNet-18 or 34"


# ---- which network a file holds --------------------------------------------------------------------------


def _encoder(shapes: Shapes) -> Encoder | None:
    inside = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
    found = resnet_of(inside)
    if found is None:
        return None
    num_layers, images = found
    width, group = (side(inside, "layer1.0.conv2.weight", axis) for axis in (0, 1))
    foreign = FOREIGN.get((num_layers, width, group))
    kinds = {1: Encoder, 2: PoseEncoder}
    return kinds[images](num_layers, foreign) if images in kinds else None


def _depth(shapes: Shapes) -> Depth | None:
    if not any(name.startswith(("upconvs0.", "upconvs1.", "dispconvs.")) for name in shapes):
        return None
    return Depth(_is_bottleneck(side(shapes, "upconvs0.0.conv.conv.weight", 1)))


def _pose(shapes: Shapes) -> Pose | None:
    if not any(name.startswith(("conv_squeeze.", "convs_pose.")) for name in shapes):
        return None
    return Pose(_is_bottleneck(side(shapes, "conv_squeeze.weight", 1)))


def _is_bottleneck(channels: int) -> bool:
    """Whether the coarsest feature is that of a ResNet-50 or deeper."""
    return channels == feature_channels(True)[-1]


# ---- several networks in one file ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Half:
    """The depth or the pose network in its authors' files.

    Attributes:
        prefix: of its names.
        encoder, decoder: our files of its parts.
        official: what the official names in its decoder start with.
        unofficial: the same in the unofficial program, to the official ones.
    """

    prefix: str
    encoder: str
    decoder: str
    official: tuple[str, ...]
    unofficial: Mapping[str, str]


HALVES = (
    _Half(
        prefix="depth_net.",
        encoder="encoder",
        decoder="depth",
        official=("upconvs0.", "upconvs1.", "dispconvs."),
        unofficial={
            "conv_before_up_sample.": "upconvs0.",
            "conv_after_up_sample.": "upconvs1.",
            "conv_for_disp.": "dispconvs.",
        },
    ),
    _Half(
        prefix="pose_net.",
        encoder="pose_encoder",
        decoder="pose",
        official=("conv_squeeze.", "convs_pose."),
        unofficial={
            "convs.0.conv.": "conv_squeeze.",
            "convs.2.conv.": "convs_pose.0.",
            "convs.4.conv.": "convs_pose.1.",
            "convs.6.": "convs_pose.2.",
        },
    ),
)
# The unofficial program's pose network gives the rotation first; ours, as the official one, the translation.
TRANSLATION_FIRST = [3, 4, 5, 0, 1, 2]
MOTION = ("convs_pose.2.weight", "convs_pose.2.bias")


def split(state: State) -> dict[str, dict[str, Any]] | None:
    """The networks in a file of either program, with or without prefixes; without them it is one half of the model.

    What has a name that it cannot have stays what it is, with the decoder, whose rule then refuses it by that name.
    """
    tensors = {name: value for name, value in state.items() if not is_number(name, _shape(value))}
    if not any(name.startswith(half.prefix) for half in HALVES for name in tensors):
        half = next((half for half in HALVES if _is_half(half, tensors)), None)
        return None if half is None else _parts(half, tensors, {})
    found: dict[str, dict[str, Any]] = {}
    for half in HALVES:
        own = {name: value for name, value in tensors.items() if name.startswith(half.prefix)}
        if own:
            stripped = {name.removeprefix(half.prefix): value for name, value in own.items()}
            found |= _parts(half, stripped, {} if found else _strangers(tensors))
    return found


def _strangers(tensors: State) -> State:
    prefixes = tuple(half.prefix for half in HALVES)
    return {name: value for name, value in tensors.items() if not name.startswith(prefixes)}


def _is_half(half: _Half, tensors: State) -> bool:
    """Whether names without a prefix are this half's."""
    known = tuple(f"decoder.{start}" for start in (*half.official, *half.unofficial))
    return any(name.startswith(known) for name in tensors)


def _parts(half: _Half, tensors: State, strangers: State) -> dict[str, dict[str, Any]]:
    """Our names for those of a half without its prefix."""
    decoder = [name.removeprefix("decoder.") for name in tensors if name.startswith("decoder.")]
    unofficial = any(name.startswith(tuple(half.unofficial)) for name in decoder)
    official = any(name.startswith(half.official) for name in decoder)
    rename = _from_unofficial if unofficial and not official else _from_official
    found: dict[str, dict[str, Any]] = {half.encoder: {}, half.decoder: dict(strangers)}
    for name, value in tensors.items():
        part, own = rename(half, name)
        own = half.prefix + own if own in found[part] else own  # nothing is lost: the rule refuses it
        swap = rename is _from_unofficial and own in MOTION and _shape(value)[:1] == (6,)
        found[part][own] = _swapped(value) if swap else value
    return {part: own for part, own in found.items() if own}


def _from_official(half: _Half, name: str) -> tuple[str, str]:
    if name.startswith("encoder.encoder."):
        return half.encoder, name.removeprefix("encoder.")
    return half.decoder, name.removeprefix("decoder.")


def _from_unofficial(half: _Half, name: str) -> tuple[str, str]:
    if name.startswith("encoder."):
        return half.encoder, name
    own = name.removeprefix("decoder.")
    start = next(filter(own.startswith, half.unofficial), None)
    return half.decoder, name if start is None else half.unofficial[start] + own.removeprefix(start)


def _shape(value: Any) -> Shape:
    """Of an array, or the shape itself: both are split alike."""
    return value if isinstance(value, tuple) else value.shape


def _swapped(value: Any) -> Any:
    return value if isinstance(value, tuple) else value[TRANSLATION_FIRST]


def join(states: Mapping[str, State]) -> dict[str, Any]:
    """Official names, in the official order; networks that are absent are left out."""
    joined: dict[str, Any] = {}
    for half in HALVES:
        for part, file in (("encoder.", half.encoder), ("decoder.", half.decoder)):
            joined |= {half.prefix + part + name: value for name, value in states.get(file, {}).items()}
    return joined


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> SCDepthOptions:
    """The ResNets from the encoders; the files do not say which size they were trained at."""
    encoder, pose_encoder = networks.get("encoder"), networks.get("pose_encoder")
    found: dict[str, Any] = {}
    if isinstance(encoder, Encoder):
        found["num_layers"] = encoder.num_layers
    if isinstance(pose_encoder, PoseEncoder):
        found["pose_layers"] = pose_encoder.num_layers
    return SCDepthOptions(**found)


# What PyTorch Lightning pickles beside the tensors: its hyper-parameters, paths, and the classes of its callbacks,
# under which it kept their states until version 1.5.
_PACKAGES = ("pytorch_lightning", "lightning.pytorch")
_CALLBACKS = {
    "model_checkpoint": "ModelCheckpoint",
    "early_stopping": "EarlyStopping",
    "lr_monitor": "LearningRateMonitor",
}
STAND_INS = {
    ("argparse", "Namespace"): RECORD,
    **{(f"{package}.utilities.parsing", "AttributeDict"): RECORD for package in _PACKAGES},
    ("lightning_fabric.utilities.data", "AttributeDict"): RECORD,
    ("lightning.fabric.utilities.data", "AttributeDict"): RECORD,
    **{
        (f"{package}.callbacks.{module}", name): DROPPED
        for package in _PACKAGES
        for module, name in _CALLBACKS.items()
    },
    **{
        (module, f"{system}Path"): DROPPED
        for module in ("pathlib", "pathlib._local")
        for system in ("Posix", "Windows")
    },
}

_RECOGNISERS = {"depth": _depth, "pose": _pose}
FAMILY = MethodFamily(
    method="sc_depth",
    networks={name: _RECOGNISERS.get(name, _encoder) for name in NETWORKS},
    options_of=options_of,
    split=split,
    join=join,
    untold=("height", "width"),
    stand_ins=STAND_INS,
)
