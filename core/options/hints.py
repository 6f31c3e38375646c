"""Options of precompute_depth_hints.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from core.options.base import (
    DATASETS,
    accept_option,
    option,
    require,
    require_at_least,
    require_intrinsics,
)

MAX_SIDE = 4096  # pixels of a hint
LEAST_WIDTH = 192  # the matchers look for disparities up to 160 pixels
# What a number of a file is: depth or inverse depth in so many metres, or disparity in so many pixels of its width.
UNITS: Mapping[str, tuple[str, float]] = {
    "metres": ("depth", 1.0),
    "millimetres": ("depth", 1e-3),
    "metres_256": ("depth", 1 / 256),
    "pixels": ("disparity", 1.0),
    "pixels_16": ("disparity", 1 / 16),
    "pixels_256": ("disparity", 1 / 256),
    "inverse_metres": ("inverse", 1.0),
}


@dataclass
class HintOptions:
    """Depth hints of a list of stereo images."""

    EXAMPLE: ClassVar[str] = "precompute_depth_hints.py --data_path kitti --split eigen_full"

    ALIASES: ClassVar[Mapping[str, str]] = {
        "filenames": "split",
        "overwrite_saved_depths": "overwrite",
        "from": "from_folder",
    }

    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    dataset: str = option("kitti", "layout of the data set, which must be stereo", choices=DATASETS)
    accept: list[str] | None = accept_option()
    split: str = option(
        "eigen_full", "name or folder of lists, of which train and val are taken, or a list file", path=True
    )
    save_path: str | None = option(
        None, "folder to write: DRIVE/image_02/FRAME.png; none: depth_hints in data_path", path=True
    )
    height: int = option(320, "height at which images are matched, and of the hints")
    width: int = option(1024, "width of the same")
    overwrite: bool = option(False, "make also the hints that are there already")
    exclude_invalid: bool = option(
        False,
        "a candidate without disparity never wins over one that has it; published hints lose a few % of the pixels so",
    )
    align_corners: bool = option(
        True,
        "of the sampling by which candidates are compared, as in training; --no_align_corners: other winners",
    )
    png: bool = option(False, "read .png images; off: .jpg or .png, whichever the first line has")
    num_workers: int = option(0, "processes; 0: one per core. Does not change a byte of the result")
    intrinsics: list[float] | None = option(
        None, "dataset folder: fx fy cx cy in units of the image size (KITTI: 0.58 1.92 0.5 0.5)"
    )
    baseline: float | None = option(
        None, "from_folder in metres: metres between the cameras; none: as the data set says (KITTI: 0.54)"
    )
    from_folder: str | None = option(
        None,
        "take the hints from files of depth (.npy, .npz, 16-bit .png; unknown: 0) in place of matching: a tree such as "
        "DRIVE/image_02/FRAME, or one folder, whose files by name are those of the lines in their order",
        path=True,
    )
    unit: str | None = option(
        None,
        "from_folder: what a number is: depth in metres, millimetres, 1/256 m; disparity in pixels of the file's own "
        "width, 1/16, 1/256 pixel; or inverse depth, 1/m (with up_to_scale or up_to_shift: of any unit)",
        choices=tuple(UNITS),
    )
    up_to_scale: bool = option(
        False,
        "from_folder: depth has no unit; every image is scaled by the median of matched / its own disparity, where "
        "both are known",
    )
    up_to_shift: bool = option(
        False,
        "from_folder: disparity or inverse depth has neither unit nor zero, as a network's relative one; every image "
        "is scaled and shifted to the matched disparity by a robust fit",
    )
    picture: str | None = option(
        None,
        "also paint the first line: its image, its hint, and the measured depth where there is one",
        path=True,
    )

    @property
    def aligned(self) -> bool:
        """Files are brought to the matched disparity of their image."""
        return self.up_to_scale or self.up_to_shift

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 0, "num_workers")
        require_at_least(self, 32, "height", "width")
        largest = max(self.height, self.width)
        require(largest <= MAX_SIDE, f"options height, width: {largest} is more than {MAX_SIDE}")
        require_intrinsics(self.intrinsics)
        require(
            self.intrinsics is None or self.dataset == "folder",
            f"option intrinsics: only for --dataset folder; {self.dataset} has its own",
        )
        require(self.baseline is None or self.baseline > 0, "option baseline: must be above 0, in metres")
        require(
            self.picture is None or self.picture.lower().endswith((".png", ".jpg", ".jpeg")),
            f"option picture: {self.picture} must end in .png or .jpg",
        )
        if self.from_folder is None or self.aligned:
            require(
                self.width >= LEAST_WIDTH,
                f"option width: {self.width} is too small to match, the least is {LEAST_WIDTH}; hints are resized "
                "when they are read",
            )
        self._validate_files()

    def _validate_files(self) -> None:
        if self.from_folder is None:
            given = [name for name in ("unit", "up_to_scale", "up_to_shift") if getattr(self, name)]
            require(not given, f"option {given[0] if given else ''}: only with --from_folder FOLDER")
            return
        require(
            self.unit is not None, f"--unit is missing: what a number of {self.from_folder} is; see --help"
        )
        require(
            not (self.up_to_scale and self.up_to_shift), "options up_to_scale, up_to_shift: take one of them"
        )
        require(
            not self.up_to_shift or UNITS[self.unit or ""][0] != "depth",
            f"option up_to_shift: depth has no shift; with --unit {self.unit} take --up_to_scale",
        )
