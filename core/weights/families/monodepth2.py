"""Monodepth2's releases (Godard et al. 2019): encoder, depth, pose_encoder, pose, predictive_mask."""

import re
from dataclasses import dataclass
from typing import ClassVar

from core.weights.families.base import Network, Shape, Shapes, side
from core.weights.families.resnet import (
    CLASSIFIER,
    feature_channels,
    resnet_of,
    resnet_shapes,
)

PREFIX = "encoder."
# Beside the tensors of an encoder file: Python's numbers.
NUMBERS = ("height", "width", "use_stereo")
# In the official files and of no use: the classifier of the backbone. No network here has it.
UNUSED = frozenset([*(PREFIX + name for name in CLASSIFIER), *NUMBERS])
DECODER_CHANNELS = (16, 32, 64, 128, 256)
POSE_CNN_CHANNELS = (16, 32, 64, 128, 256, 256, 256)
POSE_CNN_SIZES = (7, 5, 3, 3, 3, 3, 3)
OUTPUT = re.compile(r"decoder\.(1\d)\.conv\.weight")


@dataclass(frozen=True)
class Encoder(Network):
    """The ResNet of the depth network (one image), or that of the pose network (several, stacked)."""

    num_layers: int
    images: int = 1
    family: ClassVar[str] = "Monodepth2"
    options: ClassVar[dict[str, str]] = {"num_layers": "num_layers", "images": "pose_model_input"}

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

    @property
    def optional(self) -> frozenset[str]:
        return super().optional | UNUSED


@dataclass(frozen=True)
class Decoder(Network):
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
    family: ClassVar[str] = "Monodepth2"
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
class PoseDecoder(Network):
    """The pose decoder: after a pose encoder (one input), or sharing the depth encoder (one input per frame)."""

    bottleneck: bool
    inputs: int = 1
    poses: int = 2
    family: ClassVar[str] = "Monodepth2"
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

    @property
    def shapes(self) -> dict[str, Shape]:
        return (
            convolution("net.0", 256, feature_channels(self.bottleneck)[-1], 1)
            | convolution("net.1", 256, 256 * self.inputs, 3)
            | convolution("net.2", 256, 256, 3)
            | convolution("net.3", 6 * self.poses, 256, 1)
        )


@dataclass(frozen=True)
class PoseCNN(Network):
    """The light pose network, over stacked images."""

    images: int = 2
    family: ClassVar[str] = "Monodepth2"
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


def recognise(shapes: Shapes) -> Network | None:
    """The network with these names, or the one that a damaged file comes nearest to, or None."""
    if any(name.startswith(PREFIX) for name in shapes):
        flat = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
        found = resnet_of(flat)
        return None if found is None else Encoder(*found)
    if any(name.startswith("decoder.") for name in shapes):
        return _decoder(shapes)
    if any(name.startswith("pose_conv.") for name in shapes):
        return PoseCNN(max(side(shapes, "net.0.weight", 1) // 3, 2))
    if side(shapes, "net.0.weight", 2) == 1:
        return PoseDecoder(
            bottleneck=_is_bottleneck(side(shapes, "net.0.weight", 1)),
            inputs=max(side(shapes, "net.1.weight", 1) // 256, 1),
            poses=max(side(shapes, "net.3.weight", 0) // 6, 1),
        )
    return None


def _decoder(shapes: Shapes) -> Decoder:
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


def _is_bottleneck(channels: int) -> bool:
    """Whether the coarsest feature is that of a ResNet-50 or deeper."""
    return channels == feature_channels(True)[-1]
