"""The weights of `tiny`: one file that holds two networks, and the progress beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from core.weights.families.base import MethodFamily, Network, Shape, Shapes, State, side
from tests.tiny.options import TinyOptions


@dataclass(frozen=True)
class TinyPair(Network):
    """Both networks, with so many features."""

    channels: int
    family: ClassVar[str] = "Tiny"
    options: ClassVar[dict[str, str]] = {"channels": "channels"}
    numbers: ClassVar[Mapping[str, type]] = {"progress": float}

    @property
    def file(self) -> str:
        return "tiny"

    @property
    def title(self) -> str:
        return f"depth and anchor, {self.channels} channels"

    @property
    def shapes(self) -> dict[str, Shape]:
        features = self.channels
        return {
            "depth.body.weight": (features, 4, 3, 3),
            **_batch_norm("depth.norm", features),
            "depth.head.weight": (1, features, 3, 3),
            "depth.head.bias": (1,),
            "anchor.body.weight": (features, 3, 3, 3),
            "anchor.body.bias": (features,),
            **_batch_norm("anchor.norm", features),
            "progress": (),
        }


def _batch_norm(name: str, channels: int) -> dict[str, Shape]:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{kind}": (channels,) for kind in kinds}, f"{name}.num_batches_tracked": ()}


def recognise(shapes: Shapes) -> Network | None:
    """The pair with these names, or None."""
    channels = side(shapes, "anchor.body.weight", 0)
    return TinyPair(channels) if channels else None


def options_of(networks: Mapping[str, Network], states: Mapping[str, State]) -> TinyOptions:
    """The number of features; the file does not know the size of the images."""
    return TinyOptions(channels=networks["tiny"].channels)


FAMILY = MethodFamily("tiny", networks={"tiny": recognise}, options_of=options_of)
