"""What a method's options say of it, in plain tables that data sets, training and evaluation read."""

from dataclasses import dataclass

from core.options.base import NOMINAL_BASELINE

Frame = int | str  # an offset in time, or "s" for the other camera of a stereo pair


@dataclass(frozen=True)
class Needs:
    """What a sample holds; see `core/datasets/sample.py` for its keys.

    Attributes:
        frames: the target 0, then its sources; the target alone where no loss is computed.
        scales: pyramid levels of the plain target beside level 0.
        all_scales: those levels of the sources, too.
        known_motion: T_source_target of every source, measured.
        baseline: the distance of the stereo cameras in the unit of depth.
    """

    frames: tuple[Frame, ...] = (0,)
    scales: tuple[int, ...] = (0,)
    all_scales: bool = False
    known_motion: bool = False
    baseline: float = NOMINAL_BASELINE

    @property
    def sources(self) -> tuple[Frame, ...]:
        """The frames beside the target."""
        return self.frames[1:]


@dataclass(frozen=True)
class Listing:
    """One list of samples.

    Attributes:
        dataset: its reader, a name of `core.options.DATASETS`.
        path: root folder of the data.
        split: name or folder of the lists.
    """

    dataset: str
    path: str
    split: str


@dataclass(frozen=True)
class Order:
    """How an epoch goes through the training samples.

    Attributes:
        replacement: every sample is drawn from all of them; otherwise each comes once.
        steps: of an epoch; None: as many as the samples fill.
    """

    replacement: bool = False
    steps: int | None = None


@dataclass(frozen=True)
class Input:
    """An image-like input of the depth network, (B, channels, H, W).

    Attributes:
        required: prediction cannot do without it.
    """

    channels: int
    required: bool = True
