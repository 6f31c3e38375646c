"""Options of `tiny`: as a method's are, and of nothing that Monodepth2's are made of."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.base import option, require
from core.options.needs import Needs, Order
from core.options.schedule import linear_warmup
from core.options.training import Options

STEPS = 2  # of an epoch


@dataclass
class TinyOptions(Options):
    """Tiny, a method of the tests."""

    LEAST_SIDE: ClassVar[int] = 32
    SIDE_MULTIPLE: ClassVar[int] = 16
    ALIASES: ClassVar[Mapping[str, str]] = {"lr": "learning_rate"}
    REJECTED: ClassVar[Mapping[str, str]] = {"pose_net": "tiny has no pose network; leave it out"}
    MODEL: ClassVar[tuple[str, ...]] = ("channels", "neighbour")
    SMALL: ClassVar[Mapping[str, Any]] = {"height": 48, "width": 32, "batch_size": 2}

    method: str = option("tiny", "which paper", choices=("tiny",))
    models_to_load: list[str] = option(("tiny",), "which networks to load from it", choices=("tiny",))
    learning_rate: float = option(1e-3, "rate of the body; the head's is a tenth")
    channels: int = option(4, "of the features")
    neighbour: bool = option(
        True, "the loss sees the following frame, too; without, there is none to validate"
    )

    def needs(self, part: str) -> Needs:
        """The target, and the frame after it; no pyramid, no motion."""
        return Needs(frames=(0, 1) if self.neighbour else (0,))

    def order(self) -> Order:
        """A fixed number of steps, whatever the length of the list."""
        return Order(replacement=True, steps=STEPS)

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """Two groups, warmed up."""
        rate = self.learning_rate * linear_warmup(step, steps_per_epoch, 0.5)
        return [rate, rate / 10]

    @property
    def gradient_clip(self) -> float | None:
        """Low enough to matter."""
        return 0.1

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """The colour where there is a loss; else what any method goes by."""
        return ("colour", values["colour"]) if "colour" in values else super().criterion(values)

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require(self.channels > 0, f"option channels: {self.channels} must be above 0")
