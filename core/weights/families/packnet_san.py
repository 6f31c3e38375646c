"""PackNet-SAN's releases (Guizilini et al., CVPR 2021): depth with and without sparse depth, pose where views teach.

Its program and its files are PackNet's; of the depth network all parts but two lists of five factors have prefixes.

| ours | its program |
|---|---|
| `depth`, `weight`, `bias` | `model.depth_net.weight`, `model.depth_net.bias` |
| `depth`, `encoder.conv2.0.conv3.weight` | `model.depth_net.encoder.conv2.0.conv3.0.weight`, as it has dropout |
| `depth`, `decoder.unpack5.…` | `model.depth_net.decoder.unpack5.…` |
| `depth`, `mconvs.mconvs.0.layer1.0.kernel` | `model.depth_net.mconvs.mconvs.0.layer1.0.kernel` |
| `pose`, `pose_pred.…` | `model.pose_net.pose_pred.…` |
"""

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

from core.options.methods.packnet_san import DIVISORS, SUPERVISIONS, PackNetSANOptions, shape_of
from core.weights.families import packnet
from core.weights.families.base import Network, Shape, Shapes, State, side

NETWORK = "packnet_san01"
SIZES = (5, 5, 3, 3, 3)  # of the sparse kernels
DECODER = ("unpack", "iconv", "disp")
PREFIXES = ("encoder.pre_calc.", "encoder.pack", "decoder.unpack", "mconvs.")
RELEASE = "PackNet-SAN"


@dataclass(frozen=True)
class SANDepth(Network):
    """PackNetSAN01.

    Attributes:
        divisor: of its channels; 1 for those that are published.
    """

    divisor: int = 1
    family: ClassVar[str] = RELEASE
    file: ClassVar[str] = "depth"
    options: ClassVar[dict[str, str]] = {"divisor": "width_divisor"}

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the first convolution and of the five levels."""
        return shape_of(NETWORK, self.divisor)[0]

    @property
    def features(self) -> int:
        """Of the 3-D convolutions."""
        return shape_of(NETWORK, self.divisor)[1]

    @property
    def title(self) -> str:
        divided = f", channels divided by {self.divisor}" if self.divisor > 1 else ""
        return f"depth network, PackNetSAN01{divided}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {"weight": (len(SIZES),), "bias": (len(SIZES),)}
        for name, shape in packnet.packing_shapes(self.widths, self.features).items():
            found[("decoder." if name.startswith(DECODER) else "encoder.") + name] = shape
        for number, (inputs, outputs) in enumerate(pairwise((1, *self.widths[1:]))):
            found |= _level(f"mconvs.mconvs.{number}", inputs, outputs, SIZES[number])
        return found


@dataclass(frozen=True)
class GroupPose(packnet.GroupPose):
    """PoseNet."""

    family: ClassVar[str] = RELEASE


@dataclass(frozen=True)
class ResNetPose(packnet.ResNetPose):
    """PoseResNet."""

    family: ClassVar[str] = RELEASE


def _level(name: str, inputs: int, outputs: int, size: int) -> dict[str, Shape]:
    """A level of the sparse branch: three, two and one convolutions."""
    wide = 2 * outputs
    stacks = {3: (inputs, wide, wide, outputs), 2: (inputs, wide, outputs), 1: (inputs, outputs)}
    found: dict[str, Shape] = {}
    for layers, channels in stacks.items():
        for number, (before, after) in enumerate(pairwise(channels)):
            layer = f"{name}.layer{layers}."
            found[f"{layer}{3 * number}.kernel"] = (size**2, before, after)
            if number < layers - 1:
                found |= _batch_norm(f"{layer}{3 * number + 1}.bn", after)
    return found | _batch_norm(f"{name}.layer_final.0.bn", outputs)


def _batch_norm(name: str, channels: int) -> dict[str, Shape]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts} | {f"{name}.num_batches_tracked": ()}


# ---- which network a file holds --------------------------------------------------------------------------


def _depth(shapes: Shapes) -> SANDepth | None:
    if not any(name.startswith(PREFIXES) for name in shapes):
        return None
    last = side(shapes, "encoder.pack5.conv.conv_base.weight", 0)
    return SANDepth(next((one for one in DIVISORS if SANDepth(one).widths[-1] == last), 1))


def _pose(shapes: Shapes) -> GroupPose | ResNetPose | None:
    match packnet.FAMILY.networks["pose"](shapes):
        case packnet.GroupPose() as pose:
            return GroupPose(*astuple(pose))
        case packnet.ResNetPose() as pose:
            return ResNetPose(*astuple(pose))
    return None


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> PackNetSANOptions:
    """The networks, and how many sources the pose network has; size and supervision are beside them, if at all."""
    depth, found = networks.get("depth"), packnet.pose_options(networks.get("pose"))
    if isinstance(depth, SANDepth):
        found["width_divisor"] = depth.divisor
    return PackNetSANOptions(**found)


def configured(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What PackNet's files say, too; measured depth always taught, by the weight of its loss with or without views."""
    found = packnet.configured(configuration)
    if found.get("supervision") not in SUPERVISIONS:
        found.pop("supervision", None)
    return found


# Its networks have dropout, which stands behind the 1 × 1 convolutions of the encoder.
SHORTCUT = re.compile(r"(model\.depth_net\.encoder\.conv[2-5]\.\d+\.conv3)(\.(?:weight|bias))")


def join(states: Mapping[str, State]) -> dict[str, Any]:
    """The names in its program's file, as those that are published have them."""
    joined = packnet.join(states)
    return {SHORTCUT.sub(r"\1.0\2", name): value for name, value in joined.items()}


FAMILY = replace(
    packnet.FAMILY,
    method="packnet_san",
    networks={"depth": _depth, "pose": _pose},
    options_of=options_of,
    join=join,
    configured=configured,
)
