"""What a method's options say of it, in plain tables that data sets, training and evaluation read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.options.base import NOMINAL_BASELINE, require

Frame = int | str  # an offset in time, or "s" for the other camera of a stereo pair
Range = tuple[float, float]  # least and greatest

FILTERS = ("lanczos", "bilinear", "float_bilinear")
MIRRORS = ("pixel_centres", "edges")
DEPTH_RESIZES = ("points", "nearest")
USUAL = "usual"  # of the depths of a data set that which a network usually sees


@dataclass(frozen=True)
class Needs:
    """What a sample holds; see `core/datasets/sample.py` for its keys.

    Attributes:
        frames: the target 0, then its sources; the target alone where no loss is computed.
        plain: the images as they are.
        augmented: the images with their colours changed where the draw says so.
        augmented_sources: those of the sources, too; otherwise of the target alone.
        scales: pyramid levels of the plain target beside level 0.
        all_scales: those levels of the sources, too.
        intrinsics: K.
        side: which camera of the stereo pair took the target.
        motion: T_source_target of every source, measured.
        depth: measured depth of the target, for a loss; what a run is scored by is `dataset.truth` and needs no word.
        truth: what to do about a list whose first line has no true depth, where the score cannot do without; empty
            where it can.
        extras: names of `core.datasets.extras.EXTRAS`.
        baseline: the distance of the stereo cameras in the unit of depth.
    """

    frames: tuple[Frame, ...] = (0,)
    plain: bool = True
    augmented: bool = True
    augmented_sources: bool = True
    scales: tuple[int, ...] = (0,)
    all_scales: bool = False
    intrinsics: bool = True
    side: bool = False
    motion: bool = False
    depth: bool = False
    truth: str = ""
    extras: tuple[str, ...] = ()
    baseline: float = NOMINAL_BASELINE

    @property
    def sources(self) -> tuple[Frame, ...]:
        """The frames beside the target."""
        return self.frames[1:]


@dataclass(frozen=True)
class AugmentationPolicy:
    """What is drawn for a training sample: probabilities, and ranges of uniform draws.

    Attributes:
        mirroring: probability that left and right are exchanged.
        jitter: probability that colours are changed.
        brightness, contrast, saturation: factors.
        hue: shift in turns of the colour circle.
        channels: factor of each of red, green and blue, drawn for each; (1, 1): none.
        per_frame: the sources draw factors of their own; whether colours change at all is drawn once.
    """

    mirroring: float = 0.5
    jitter: float = 0.5
    brightness: Range = (0.8, 1.2)
    contrast: Range = (0.8, 1.2)
    saturation: Range = (0.8, 1.2)
    hue: Range = (-0.1, 0.1)
    channels: Range = (1.0, 1.0)
    per_frame: bool = False

    @classmethod
    def jittered(cls, changes: Sequence[float] | None) -> "AugmentationPolicy":
        """Nothing is mirrored, and colours always change.

        Args:
            changes: largest ones of brightness, contrast, saturation and hue, and perhaps of each channel; None: none.
        """
        if changes is None:
            return cls(mirroring=0.0, jitter=0.0)
        brightness, contrast, saturation, hue, channels = [*changes, 0.0][:5]
        return cls(
            mirroring=0.0,
            jitter=1.0,
            brightness=(1 - brightness, 1 + brightness),
            contrast=(1 - contrast, 1 + contrast),
            saturation=(1 - saturation, 1 + saturation),
            hue=(-hue, hue),
            channels=(1 - channels, 1 + channels),
        )


@dataclass(frozen=True)
class Preparation:
    """How files become samples: cut, mirrored, zoomed, resized; colours last.

    Attributes:
        height, width: of a sample's images, pixels.
        border_crop: what is kept of an image before anything else, as `core.datasets.preparation.border_box`
            reads it; () keeps all.
        filter: `lanczos` and `bilinear` are Pillow's, on 8 bit, with antialiasing; `float_bilinear` is OpenCV's, on
            float32, without: images are then float32 in [0, 1].
        mirror: the convention of the principal point: `pixel_centres` (of the calibration and of the sample;
            mirrored, cx goes to w - 1 - cx) or `edges` (rows of K scale with the image; cx goes to w - cx).
        zoom: greatest factor by which an image is enlarged at random, each side by its own, and a part of its former
            size cut out; 1: not at all.
        augmentation: what else is drawn; None: nothing.
        input_depth: how a network's depth comes to the size of the images: `points` keeps every point, of several in a
            pixel the last; `nearest` keeps the pixels that the nearest one hits, and so few points.
        input_depth_points: share of the points of a network's depth that it sees: in training drawn anew for every
            sample, otherwise the same every time.
        least_input_depth_points: where above 0, the share itself is drawn in training, between this and that, evenly in
            its logarithm.
        cut_truth: what a prediction is scored by is cut as the images are; otherwise it is that of the whole image.
        scale_K: K is that of the sample's images; otherwise that of the file's, cut but not resized.

    Raises:
        UserError: a value that cannot work.
    """

    height: int
    width: int
    border_crop: tuple[float, ...] = ()
    filter: str = "lanczos"
    mirror: str = "pixel_centres"
    zoom: float = 1.0
    augmentation: AugmentationPolicy | None = None
    input_depth: str = "points"
    input_depth_points: float = 1.0
    least_input_depth_points: float = 0.0
    cut_truth: bool = True
    scale_K: bool = True  # noqa: N815 (the field's name)

    def __post_init__(self) -> None:
        require(self.filter in FILTERS, f"filter {self.filter!r} is none of {', '.join(FILTERS)}")
        require(self.mirror in MIRRORS, f"mirror {self.mirror!r} is none of {', '.join(MIRRORS)}")
        known = ", ".join(DEPTH_RESIZES)
        require(self.input_depth in DEPTH_RESIZES, f"input depth {self.input_depth!r} is none of {known}")
        share = self.input_depth_points
        require(0 < share <= 1, f"input depth points {share}: must be above 0, up to 1")
        least = self.least_input_depth_points
        require(0 <= least <= share, f"least input depth points {least}: must lie between 0 and {share}")
        count = len(self.border_crop)
        whole = count in (0, 2, 4) and all(map(math.isfinite, self.border_crop))
        require(whole, f"border crop {self.border_crop}: must be two or four numbers, or none")
        require(self.zoom >= 1, f"zoom {self.zoom}: must not be below 1")
        policy = self.augmentation
        require(
            policy is not None or self.zoom == 1, f"zoom {self.zoom}: is random and needs an augmentation"
        )
        require(
            self.filter != "float_bilinear" or policy is None or policy.jitter == 0,
            "filter float_bilinear: colours are changed on 8 bit; take another filter, or jitter 0",
        )

    @property
    def thins(self) -> bool:
        """Whether a network sees a part of its depth's points, or may."""
        return self.input_depth_points < 1 or self.least_input_depth_points > 0


@dataclass(frozen=True)
class Listing:
    """One list of samples.

    Attributes:
        dataset: its reader, a name of `core.options.DATASETS`.
        path: root folder of the data.
        split: name or folder of the lists, or a list file.
        camera: of the lines that do not name one (their third word), or that a reader makes lines for, by its name;
            None: as the reader says.
        depth: which measured depth `depth` and `dataset.truth` are, a word of the reader; None: its usual one.
        input_depth: which measured depth is `input_depth` of a sample, for a network, a word of the reader or `USUAL`;
            None: there is none.
        repeat: how often each sample comes in an epoch.
        ground_truth: a file of maps, one for each line in the order of the list, that `dataset.truth` is taken from:
            what export_gt_depth.py or the published program writes.
        calibration: the intrinsics are those of the data set's calibration files, not nominal ones.
        frame_index: of each folder of images only those that its index of frames names.
        depth_hints: folder of the depth hints; None: `depth_hints` in the root folder.
        drop_incomplete: lines whose sources, named depth or known poses are not there are left out and counted;
            otherwise a missing image or pose is an error, and a missing depth is unknown everywhere.
        repeat_target: a neighbour in time that is not there is the target once more, and counted.
    """

    dataset: str
    path: str
    split: str
    camera: str | None = None
    depth: str | None = None
    input_depth: str | None = None
    repeat: int = 1
    ground_truth: str | None = None
    calibration: bool = False
    frame_index: bool = False
    depth_hints: str | None = None
    drop_incomplete: bool = False
    repeat_target: bool = False


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
