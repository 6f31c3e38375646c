"""What `render_drive.py` can be asked for."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from dataclasses import dataclass
from typing import ClassVar

from core.errors import UserError
from core.options import CAMERAS, option
from core.options.cameras import require_camera

_LEAST = {
    **dict.fromkeys(("train_drives", "val_drives", "test_drives", "seed", "workers"), 0),
    **dict.fromkeys(("frames", "val_frames", "test_frames"), 3),
    **{"height": 32, "width": 64, "azimuths": 16, "samples": 1},
}


@dataclass
class RenderOptions:
    """A rendered street drive. Everything but `output` and `workers` decides what the pictures show."""

    EXAMPLE: ClassVar[str] = "render_drive.py --output data/drive"

    output: str = option(
        "", "folder to write; must be new, empty, or an unfinished set of the same options", path=True
    )
    camera: str = option(
        "pinhole",
        "what both cameras are; others than a pinhole without distortion have range and rays beside z",
        choices=tuple(name for name in CAMERAS if name != "dummy"),
    )
    camera_parameters: list[float] | None = option(
        None,
        "its numbers in pixels, as make_rays.py --parameters; none: KITTI's pinhole, a fisheye of 180 degrees across, "
        "a unified camera with xi 0.95",
    )
    axis: str = option(
        "forward", "where the cameras look; up: as those below a mirror do", choices=("forward", "up")
    )
    max_angle: float = option(
        180.0, "degrees off the axis; nothing is seen beyond: the image circle of a lens"
    )
    height: int = option(192, "image height, pixels")
    width: int = option(640, "image width, pixels")
    frames: int = option(80, "frames of a training drive (10 per second)")
    val_frames: int = option(20, "frames of a validation drive")
    test_frames: int = option(40, "frames of a test drive")
    train_drives: int = option(5, "training drives, each through a street of its own")
    val_drives: int = option(1, "validation drives")
    test_drives: int = option(1, "test drives")
    seed: int = option(0, "the streets, the cars, the sun: all follow from it")
    format: str = option("jpg", "image files: jpg (quality 95) or png (lossless)", choices=("jpg", "png"))
    azimuths: int = option(
        2083, "laser shots per beam and turn; KITTI has about 2083, fewer make smaller sets"
    )
    samples: int = option(3, "antialiasing: samples along each axis of a pixel at edges")
    workers: int = option(0, "processes; 0: one per core. Does not change a byte of the result")

    def validate(self) -> None:
        """Raises `UserError` for values that cannot be rendered."""
        if not self.output:
            raise UserError("render_drive: give the folder to write with --output DIR")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)} is too small; give at least {least}")
        if self.camera_parameters is not None:
            require_camera(self.camera, len(self.camera_parameters), "option camera_parameters")
        if self.axis == "up" and self.camera == "pinhole":
            raise UserError("--axis up: a pinhole looks forward; choose another --camera")
        if not 0 < self.max_angle <= 180:
            raise UserError(f"--max_angle {self.max_angle:g} is no angle above 0 and up to 180 degrees")
        if self.train_drives + self.val_drives + self.test_drives == 0:
            raise UserError(
                "--train_drives, --val_drives and --test_drives are all 0; give at least one drive"
            )
