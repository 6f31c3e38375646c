"""Releases of neural ray surfaces (Vasiljevic et al., 3DV 2020): depth with its rays, and pose.

Its program writes `*.ckpt`: a `state_dict` of both networks, and beside it the options of the training, a pickled
`yacs.config.CfgNode`, and the epoch that was finished. The template of the rays is a file of its own there; ours is in
the file of the depth network, and in a `.ckpt` of ours among its tensors.

| ours | its program |
|---|---|
| `depth`, `encoder.encoder.…`, `decoder.decoder.…`, `ray_surf.decoder.…` | `model.depth_net.…` |
| `depth`, `ray_template` (1, 3, H, W), `valid` (1, 1, H, W), `ray_mean` (1, 3, H, W) | none |
| `pose`, `encoder.encoder.…`, `decoder.net.…` | `model.pose_net.…` |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.options.methods.packnet_tree import value_at
from core.options.methods.ray_surface import LAYERS, RaySurfaceOptions
from core.options.schedule import ray_coefficient
from core.weights.families import packnet
from core.weights.families.base import Network, Shape, Shapes, State

FAMILY_NAME = "RaySurface"
RAYS = "ray_surf.decoder."
TEMPLATE, VALID, MEAN = "ray_template", "valid", "ray_mean"
HEAD = 10  # number of the head of the rays, which takes the place of the first of the depth's


@dataclass(frozen=True)
class RayDepth(Network):
    """The depth network with its rays.

    Attributes:
        num_layers: of the ResNet.
        size: height and width of the template; none: the file has none.
        masked: it says which pixels have a ray.
        shared: it has what is added to the template of all images.
        progress: it says how far its training was.
    """

    num_layers: int
    size: tuple[int, int] | None = None
    masked: bool = False
    shared: bool = False
    progress: bool = False
    family: ClassVar[str] = FAMILY_NAME
    file: ClassVar[str] = "depth"
    options: ClassVar[dict[str, str]] = {
        **{"num_layers": "num_layers", "size": "height", "shared": "ray_residual"},
    }
    numbers: ClassVar[Mapping[str, type]] = {"progress": float}
    classifier: ClassVar[frozenset[str]] = packnet.ResNetDepth.classifier

    @property
    def title(self) -> str:
        rays = f"rays of {self.size[1]}x{self.size[0]}" if self.size else "without a template of rays"
        return f"depth network, ResNet-{self.num_layers}, {rays}"

    @property
    def shapes(self) -> dict[str, Shape]:
        found = packnet.ResNetDepth(self.num_layers).shapes
        for name, shape in [*found.items()]:
            place = re.fullmatch(r"decoder\.decoder\.(\d+)\.(.*)", name)
            if place and int(place[1]) < HEAD:
                found[f"{RAYS}{place[1]}.{place[2]}"] = shape
        found |= {f"{RAYS}{HEAD}.conv.weight": (3, 16, 3, 3), f"{RAYS}{HEAD}.conv.bias": (3,)}
        if self.size:
            found[TEMPLATE] = (1, 3, *self.size)
            if self.masked:
                found[VALID] = (1, 1, *self.size)
            if self.shared:
                found[MEAN] = (1, 3, *self.size)
        return found | ({"progress": ()} if self.progress else {})

    @property
    def left_out(self) -> frozenset[str]:
        """What the options say where the file does not."""
        present = {TEMPLATE: self.size is not None, VALID: self.masked, MEAN: self.shared}
        return frozenset(name for name, there in present.items() if not there)

    def denial(self, options: Mapping[str, Any]) -> str | None:
        """A template, another size than that of the rays, or rays of single images."""
        if self.shared and options.get("ray_residual") == "per_image":
            return "--ray_residual per_image, but its rays are shared"
        if self.size is None:
            return None
        if options.get("template"):
            return f"--template {' '.join(map(str, options['template']))}, but its weights have rays of their own"
        asked = tuple(
            options.get(name, side) for name, side in zip(("height", "width"), self.size, strict=True)
        )
        if asked != self.size:
            return (
                f"--height {asked[0]} --width {asked[1]}, but its rays are of {self.size[1]}x{self.size[0]}"
            )
        return None


@dataclass(frozen=True)
class RayPose(packnet.ResNetPose):
    """PoseResNet."""

    family: ClassVar[str] = FAMILY_NAME
    options: ClassVar[dict[str, str]] = {"num_layers": "pose_num_layers"}


# ---- which network a file holds --------------------------------------------------------------------------


def _depth(shapes: Shapes) -> RayDepth | None:
    layers = packnet.layers_beside(shapes, RAYS, packnet.ResNetDepth.images)
    if layers is None or layers not in LAYERS:
        return None
    template = shapes.get(TEMPLATE, ())
    size = (template[2], template[3]) if len(template) == 4 else None
    masked, shared = (size is not None and name in shapes for name in (VALID, MEAN))
    return RayDepth(layers, size, masked, shared, "progress" in shapes)


def _pose(shapes: Shapes) -> RayPose | None:
    found = packnet.FAMILY.networks["pose"](shapes)
    return RayPose(found.num_layers) if isinstance(found, packnet.ResNetPose) else None


# ---- both networks in one file ---------------------------------------------------------------------------


def split(state: State) -> dict[str, dict[str, Any]] | None:
    """The networks in its program's file, which is of PackNet's kind, and the template where there is one."""
    inside, template = dict(state), {}
    for name in state:
        if "." not in name and name.endswith(TEMPLATE):  # in its archive
            template = {TEMPLATE: inside.pop(name)}
    found = packnet.split(inside)
    if found and "depth" in found:
        found["depth"] |= template
    return found


# ---- which model a set of files is -----------------------------------------------------------------------


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> RaySurfaceOptions:
    """Depth of the ResNets, and the size where there is a template."""
    found: dict[str, Any] = {}
    match networks.get("depth"):
        case RayDepth() as depth:
            found["num_layers"] = depth.num_layers
            if depth.size:
                found |= {"height": depth.size[0], "width": depth.size[1]}
            if depth.shared:
                found["ray_residual"] = "shared"
    match networks.get("pose"):
        case RayPose() as pose:
            found["pose_num_layers"] = pose.num_layers
    return RaySurfaceOptions(**found)


def configured(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The size of its program's configuration, where it has one."""
    place = value_at(configuration, "datasets", "augmentation", "image_shape")
    return {"height": place[0], "width": place[1]} if isinstance(place, list) and len(place) == 2 else {}


def reached(configuration: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    """How much counts, at the end of its program's training, of what is added to the template."""
    epochs = value_at(configuration, "arch", "max_epochs")
    known = isinstance(epochs, int) and not isinstance(epochs, bool) and 0 <= epoch < epochs
    return {"ray_coefficient": ray_coefficient(epoch / epochs)} if known else {}


FAMILY = replace(
    packnet.FAMILY,
    method="ray_surface",
    networks={"depth": _depth, "pose": _pose},
    options_of=options_of,
    split=split,
    configured=configured,
    reached=reached,
)
