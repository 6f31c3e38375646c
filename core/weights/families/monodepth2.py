"""Monodepth2's releases (Godard et al. 2019): encoder, depth, pose_encoder, pose, predictive_mask.

What the Paddle Monodepthv2 wrote, and what the Paddle backend writes, are the same networks in PaddlePaddle's layout.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.errors import UserError
from core.options.methods.monodepth2 import NETWORKS, Monodepth2Options
from core.weights.families.base import MethodFamily, Network, Shape, Shapes, State, side
from core.weights.families.resnet import (
    CLASSIFIER,
    FIRST_BOTTLENECK,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder."
# Beside the tensors of an encoder file: Python's numbers.
NUMBERS = {"height": int, "width": int, "use_stereo": bool}
DECODER_CHANNELS = (16, 32, 64, 128, 256)
POSE_CNN_CHANNELS = (16, 32, 64, 128, 256, 256, 256)
POSE_CNN_SIZES = (7, 5, 3, 3, 3, 3, 3)
OUTPUT = re.compile(r"decoder\.(1\d)\.conv\.weight")
# Offsets in time of the frames that a pose network of so many images sees; the file has only their number.
FRAMES = (0, -1, 1, -2, 2, -3, 3, -4, 4)


class _Network(Network):
    family: ClassVar[str] = "Monodepth2"
    paddle_family: ClassVar[str] = "Paddle Monodepthv2"


@dataclass(frozen=True)
class Encoder(_Network):
    """The ResNet of the depth network (one image), or that of the pose network (several, stacked)."""

    num_layers: int
    images: int = 1
    options: ClassVar[dict[str, str]] = {"num_layers": "num_layers", "images": "pose_model_input"}
    numbers: ClassVar[Mapping[str, type]] = NUMBERS
    # Of the backbone, in the official files.
    classifier: ClassVar[frozenset[str]] = frozenset(PREFIX + name for name in CLASSIFIER)

    @property
    def file(self) -> str:
        return "encoder" if self.images == 1 else "pose_encoder"

    @property
    def title(self) -> str:
        if self.images == 1:
            return f"encoder, ResNet-{self.num_layers}"
        return f"pose encoder, ResNet-{self.num_layers}, {self.images} images"

    @property
    def shapes(self) -> dict[str, Shape]:
        numbers: dict[str, Shape] = dict.fromkeys(NUMBERS, ()) if self.images == 1 else {}
        resnet = resnet_shapes(self.num_layers, self.images)
        return {PREFIX + name: shape for name, shape in resnet.items()} | numbers

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """`num_layers`, where it is another ResNet's."""
        layers = options.get("num_layers", self.num_layers)
        if layers == self.num_layers or self.images > 1:
            return None
        return f"--num_layers {layers}, but its encoder is a ResNet-{self.num_layers}"


@dataclass(frozen=True)
class Decoder(_Network):
    """The depth decoder (one output channel), or the predictive mask (one per source view).

    Attributes:
        bottleneck: for ResNet-50 and deeper.
        scales: wanted scales; outputs are numbered by their position in this list.
        outputs: channels of each output.
        mask: it is the predictive mask, which with one source cannot be told from a depth decoder.
    """

    bottleneck: bool
    scales: tuple[int, ...] = (0, 1, 2, 3)
    outputs: int = 1
    mask: bool = False
    options: ClassVar[dict[str, str]] = {"bottleneck": "num_layers", "scales": "scales"}

    @property
    def file(self) -> str:
        return "predictive_mask" if self.mask else "depth"

    @property
    def title(self) -> str:
        sources = f", {self.outputs} sources" if self.mask else ""
        scales = " ".join(map(str, self.scales)) or "none"
        name = self.file.replace("_", " ")
        return f"{name} decoder for {resnets(self.bottleneck)}, scales {scales}{sources}"

    def named(self, file: str) -> "Decoder":
        """With one source a mask cannot be told from a depth decoder but by the name of its file."""
        return replace(self, mask=file == "predictive_mask") if file in ("depth", "predictive_mask") else self

    def fits(self, other: Network) -> bool:
        return _fits_encoder(self.bottleneck, other)

    @property
    def shapes(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {}
        skips = feature_channels(self.bottleneck)
        inputs = skips[-1]
        for level in range(4, -1, -1):
            outputs = DECODER_CHANNELS[level]
            skip = skips[level - 1] if level > 0 else 0
            for number, columns in enumerate((inputs, outputs + skip), start=2 * (4 - level)):
                shapes |= convolution(f"decoder.{number}.conv.conv", outputs, columns, 3)
            inputs = outputs
        for position, scale in enumerate(self.scales, start=10):
            shapes |= convolution(f"decoder.{position}.conv", self.outputs, DECODER_CHANNELS[scale], 3)
        return shapes


@dataclass(frozen=True)
class PoseDecoder(_Network):
    """The pose decoder: after a pose encoder (one input), or sharing the depth encoder (one input per frame)."""

    bottleneck: bool
    inputs: int = 1
    poses: int = 2
    options: ClassVar[dict[str, str]] = {
        **{"bottleneck": "num_layers", "inputs": "pose_model_type", "poses": "pose_model_input"}
    }

    @property
    def file(self) -> str:
        return "pose"

    @property
    def title(self) -> str:
        shared = f"shared by {self.inputs} images" if self.inputs > 1 else "separate"
        return f"pose decoder for {resnets(self.bottleneck)}, {shared}, {self.poses} pose{'s' * (self.poses > 1)}"

    def fits(self, other: Network) -> bool:
        return _fits_encoder(self.bottleneck, other)

    @property
    def shapes(self) -> dict[str, Shape]:
        return (
            convolution("net.0", 256, feature_channels(self.bottleneck)[-1], 1)
            | convolution("net.1", 256, 256 * self.inputs, 3)
            | convolution("net.2", 256, 256, 3)
            | convolution("net.3", 6 * self.poses, 256, 1)
        )


@dataclass(frozen=True)
class PoseCNN(_Network):
    """The light pose network, over stacked images."""

    images: int = 2
    options: ClassVar[dict[str, str]] = {"images": "pose_model_input"}

    @property
    def file(self) -> str:
        return "pose"

    @property
    def title(self) -> str:
        return f"PoseCNN, {self.images} images"

    @property
    def shapes(self) -> dict[str, Shape]:
        shapes, columns = convolution("pose_conv", 6 * (self.images - 1), 256, 1), 3 * self.images
        for number, (rows, size) in enumerate(zip(POSE_CNN_CHANNELS, POSE_CNN_SIZES, strict=True)):
            shapes |= convolution(f"net.{number}", rows, columns, size)
            columns = rows
        return shapes


def convolution(name: str, outputs: int, inputs: int, size: int) -> dict[str, Shape]:
    """A convolution with bias."""
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def resnets(bottleneck: bool) -> str:
    """Which encoders a decoder fits."""
    return "ResNet-50 and deeper" if bottleneck else "ResNet-18 or 34"


def _fits_encoder(bottleneck: bool, other: Network) -> bool:
    if not isinstance(other, Encoder) or other.images > 1:
        return True
    return bottleneck == (other.num_layers >= FIRST_BOTTLENECK)


# ---- which network a file holds --------------------------------------------------------------------------


def _encoder(shapes: Shapes) -> Encoder | None:
    if not any(name.startswith(PREFIX) for name in shapes):
        return None
    found = resnet_of({name.removeprefix(PREFIX): shape for name, shape in shapes.items()})
    return None if found is None else Encoder(*found)


def _decoder(shapes: Shapes) -> Decoder | None:
    if not any(name.startswith("decoder.") for name in shapes):
        return None
    outputs = sorted(match[1] for match in map(OUTPUT.fullmatch, shapes) if match)
    scale_of = {channels: scale for scale, channels in enumerate(DECODER_CHANNELS[:4])}
    scales = [scale_of.get(side(shapes, f"decoder.{number}.conv.weight", 1)) for number in outputs]
    channels = max(side(shapes, "decoder.10.conv.weight", 0), 1)
    return Decoder(
        bottleneck=_is_bottleneck(side(shapes, "decoder.0.conv.conv.weight", 1)),
        scales=tuple(scale for scale in scales if scale is not None),
        outputs=channels,
        mask=channels > 1,
    )


def _pose(shapes: Shapes) -> PoseCNN | PoseDecoder | None:
    if any(name.startswith("pose_conv.") for name in shapes):
        return PoseCNN(max(side(shapes, "net.0.weight", 1) // 3, 2))
    if side(shapes, "net.0.weight", 2) != 1:
        return None
    return PoseDecoder(
        bottleneck=_is_bottleneck(side(shapes, "net.0.weight", 1)),
        inputs=max(side(shapes, "net.1.weight", 1) // 256, 1),
        poses=max(side(shapes, "net.3.weight", 0) // 6, 1),
    )


def _is_bottleneck(channels: int) -> bool:
    """Whether the coarsest feature is that of a ResNet-50 or deeper."""
    return channels == feature_channels(True)[-1]


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> Monodepth2Options:
    """Size and stereo from numbers in the encoder file; ResNet, scales and the kind of the pose network from rules.

    Raises:
        UserError: a number is none.
    """
    numbers = states.get("encoder", {})
    found: dict[str, Any] = {name: _number(numbers, name) for name in ("height", "width")}
    found["use_stereo"] = bool(_number(numbers, "use_stereo"))
    encoder, depth, pose = (networks.get(name) for name in ("encoder", "depth", "pose"))
    if isinstance(encoder, Encoder):
        found["num_layers"] = encoder.num_layers
    if isinstance(depth, Decoder) and depth.scales:
        found["scales"] = list(depth.scales)
    if pose is not None:
        found |= _pose_options(pose, networks.get("pose_encoder"))
    elif found["use_stereo"]:
        found["frame_ids"] = [0]  # trained on stereo pairs alone: the pose is known
    return Monodepth2Options(**found)


def _number(numbers: State, name: str) -> int:
    """What the encoder file says under a name, or the default of that option."""
    if name not in numbers:
        return int(getattr(Monodepth2Options, name))
    try:
        return int(numbers[name].item())
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} in the encoder file is no number; download the file again") from None


def _pose_options(pose: Network, pose_encoder: Network | None) -> dict[str, Any]:
    """Options of a pose network."""
    if isinstance(pose, PoseCNN):
        return _input_options("posecnn", pose.images)
    if isinstance(pose, PoseDecoder) and pose.inputs > 1:
        return _input_options("shared", pose.inputs)
    if isinstance(pose, PoseDecoder):
        images = pose_encoder.images if isinstance(pose_encoder, Encoder) else 2
        # Pairs predict two motions, of which the first is used.
        return _input_options("separate_resnet", images, all_frames=images > 2 or pose.poses == 1)
    return {}


def _input_options(kind: str, images: int, all_frames: bool | None = None) -> dict[str, Any]:
    """Options of a pose network over so many images; two of them are a pair unless something else is said."""
    together = images > 2 if all_frames is None else all_frames
    found = {"pose_model_type": kind, "pose_model_input": "all" if together else "pairs"}
    if not together:
        return found
    frames = (0, 1) if images == 2 else FRAMES[:images]
    return found | {"frame_ids": list(frames)}


_RECOGNISERS = {"encoder": _encoder, "pose_encoder": _encoder, "pose": _pose}
FAMILY = MethodFamily(
    method="monodepth2",
    networks={name: _RECOGNISERS.get(name, _decoder) for name in NETWORKS},
    options_of=options_of,
    untold=("height", "width"),
)
