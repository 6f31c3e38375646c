"""A made-up method's releases: two small networks that lie in one file, under prefixes, as Lightning writes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from core.options import OPTIONS, Options
from core.options.base import option
from core.weights.families import FAMILIES
from core.weights.families.base import RECORD, MethodFamily, Network, Prefixes, Shape, Shapes
from tests.core.weight_files import Raw, code, name, tensor, whole, write_zip

PREFIXES = Prefixes({"depth_net.": "depth", "pose_net.": "pose"})


@dataclass
class TwinOptions(Options):
    """A made-up method."""

    method: str = option("twin", "which paper")
    width_of_depth: int = option(4, "channels")
    depth_start: str | None = option(None, "folder")


@dataclass(frozen=True)
class Depth(Network):
    """A convolution and a batch normalisation."""

    channels: int
    family: ClassVar[str] = "Twin"
    file = "depth"

    @property
    def title(self) -> str:
        return f"depth network, {self.channels} channels"

    @property
    def shapes(self) -> dict[str, Shape]:
        kinds = ("weight", "bias", "running_mean", "running_var")
        norm: dict[str, Shape] = {f"norm.{kind}": (self.channels,) for kind in kinds}
        return {"conv.weight": (self.channels, 3, 3, 3), **norm, "norm.num_batches_tracked": ()}


@dataclass(frozen=True)
class Pose(Network):
    """A linear layer, square: a wrong layout has the right shape."""

    family: ClassVar[str] = "Twin"
    file = "pose"
    title = "pose network"

    @property
    def shapes(self) -> dict[str, Shape]:
        return {"head.weight": (3, 3), "head.bias": (3,)}


def depth_of(shapes: Shapes) -> Depth | None:
    """Told by its convolution."""
    return Depth(shapes["conv.weight"][0]) if "conv.weight" in shapes else None


def pose_of(shapes: Shapes) -> Pose | None:
    """Told by its linear layer."""
    return Pose() if "head.weight" in shapes else None


FAMILY = MethodFamily(
    method="twin",
    networks={"depth": depth_of, "pose": pose_of},
    options_of=lambda networks, states: TwinOptions(width_of_depth=networks["depth"].channels),
    split=PREFIXES.split,
    join=PREFIXES.join,
    stand_ins={("yacs.config", "CfgNode"): RECORD, ("argparse", "Namespace"): RECORD},
)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows in the registries."""
    monkeypatch.setitem(FAMILIES, "twin", FAMILY)
    monkeypatch.setitem(OPTIONS, "twin", TwinOptions)


def random_states(channels: int = 4) -> dict[str, dict[str, np.ndarray]]:
    """{file name: official state}."""
    rng = np.random.default_rng(0)
    return {
        rule.file: {
            key: rng.uniform(size=shape).astype(np.float32) if shape else np.array(7)
            for key, shape in rule.shapes.items()
        }
        for rule in (Depth(channels), Pose())
    }


def record(module: str, attribute: str, content: dict, arguments: bytes = b")") -> Raw:
    """An instance of a class that is a dict with attributes, as `yacs.config.CfgNode` is."""
    made = name(module, attribute).content + arguments + b"\x81"
    return Raw(made + code(content)[1:] + code({"__immutable__": True}) + b"b")


def write_checkpoint(path: Path, states: dict[str, dict[str, np.ndarray]], **beside: object) -> Path:
    """`{"epoch": …, "state_dict": {prefix + name: tensor}, …}`."""
    arrays = PREFIXES.join(states)
    return write_nested(path, {"state_dict": arrays}, epoch=3, **beside)


def write_nested(path: Path, parts: dict[str, dict[str, np.ndarray]], **beside: object) -> Path:
    """A `.pth` file with several dicts of tensors."""
    content, storages = {}, {}
    for part, arrays in parts.items():
        content[part] = {}
        for own, array in arrays.items():
            key = str(len(storages))
            content[part][own], storages[key] = tensor(array, key), array.tobytes()
    return write_zip(path, whole(content | beside), storages)
