"""Options of make_rays.py, and the camera models that options name."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from dataclasses import dataclass
from typing import ClassVar

from core.options.base import option, require, require_at_least

# Name of a model: its numbers, in pixels of an image (their centres at integers), and how many of them there may be.
CAMERAS = {
    "pinhole": ("fx fy cx cy, perhaps with distortion k1 k2 p1 p2 [k3 [k4 k5 k6]]", (4, 8, 9, 12)),
    "kannala_brandt": ("fx fy cx cy k1 k2 k3 k4", (8,)),
    "unified": ("fx fy cx cy xi, perhaps with distortion k1 k2 p1 p2", (5, 9)),
    "equirectangular": ("none", (0,)),
    "dummy": ("none", (0,)),
}


def require_camera(name: str, numbers: int, where: str) -> None:
    """Raises UserError where there is no such camera model, or it has another number of numbers.

    Args:
        numbers: how many are given.
        where: the option, which begins the message.
    """
    require(name in CAMERAS, f"{where}: {name[:80]!r} is no camera model; there are {', '.join(CAMERAS)}")
    meant, counts = CAMERAS[name]
    require(numbers in counts, f"{where}: {name} has the numbers {meant}; {numbers} are given")


@dataclass
class RayOptions:
    """Viewing rays of a calibrated camera, or of a file of rays: what training without a camera model starts from."""

    EXAMPLE: ClassVar[str] = (
        "make_rays.py --camera kannala_brandt --parameters 300 300 319.5 239.5 0.02 -5e-3 1e-3 -1e-4 --height 480 --"
        "width 640 --output rays.npz"
    )

    output: str = option(
        "rays.npz", "file to write: .npz with the mask of pixels that have a ray, or .npy without", path=True
    )
    height: int | None = option(None, "of the images in training; none: as they were calibrated")
    width: int | None = option(None, "of the images in training; none: as they were calibrated")
    camera: str | None = option(
        None,
        "camera model whose numbers are given; beside --calibration, what its four coefficients mean",
        choices=tuple(CAMERAS),
    )
    parameters: list[float] | None = option(
        None,
        "its numbers in pixels: pinhole fx fy cx cy [k1 k2 p1 p2 [k3 [k4 k5 k6]]]; kannala_brandt fx fy cx cy k1 k2 k3 "
        "k4; unified fx fy cx cy xi [k1 k2 p1 p2]; equirectangular and dummy none",
    )
    calibration: str | None = option(
        None, "instead: file of OpenCV (.yml, .xml; also of ROS) or Kalibr (camchain.yaml)", path=True
    )
    camera_name: str | None = option(
        None, "which camera of a calibration file with several: cam0, cam1, …, or the 1 of M1, D1"
    )
    template: str | None = option(
        None, "instead: file of rays, .npz or .npy, to look at or resize", path=True
    )
    calibrated_height: int | None = option(
        None, "height of the images that the numbers hold for; none: of the calibration file, else --height"
    )
    calibrated_width: int | None = option(
        None, "width of the images that the numbers hold for; none: of the calibration file, else --width"
    )
    min_angle: float = option(0.0, "degrees off the axis; nearer to it is no ray, such as a mirror's hole")
    max_angle: float = option(180.0, "degrees off the axis; farther from it is no ray: the image circle")
    picture: str | None = option(None, "picture of the rays; none: beside the file, .png", path=True)
    force: bool = option(False, "replace files that are there already")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        sources = [name for name in ("camera", "calibration", "template") if getattr(self, name) is not None]
        require(bool(sources), "--camera is missing, or a file of --calibration or --template")
        meant = sources == ["camera", "calibration"] and self.camera in ("pinhole", "kannala_brandt")
        require(
            len(sources) == 1 or (meant and self.parameters is None),
            f"options {' and '.join(sources)}: give only one of them",
        )
        require(
            self.output.endswith((".npz", ".npy")), f"option output: {self.output} must end in .npz or .npy"
        )
        if self.camera is not None and self.calibration is None:
            require_camera(self.camera, len(self.parameters or ()), "option parameters")
            require(
                self.height is not None,
                f"--height and --width are missing, which --camera {self.camera} needs",
            )
        for first, second in (("height", "width"), ("calibrated_height", "calibrated_width")):
            values = [getattr(self, name) for name in (first, second)]
            require(
                (values[0] is None) == (values[1] is None), f"options {first}, {second}: give both or none"
            )
            if values[0] is not None:
                require_at_least(self, 2, first, second)
                require(max(values) <= 16384, f"options {first}, {second}: no image is larger than 16384")
        require(
            0 <= self.min_angle < self.max_angle <= 180,
            f"options min_angle, max_angle: {self.min_angle:g} and {self.max_angle:g} are no range within 0 and 180",
        )


@dataclass
class RayEvaluationOptions:
    """Predicted range and rays beside those of a rendered drive."""

    EXAMPLE: ClassVar[str] = (
        "evaluate_rays.py --predictions learnt=out --truth data/fisheye --rays data/fisheye/rays.npz"
    )

    predictions: list[str] = option(
        ("",), "rows of the table: NAME=FOLDER of <image>_depth.npz that predict.py --save depth wrote, ..."
    )
    truth: str | None = option(
        None, "folder of range maps, <image>.png in 1/256 m, as render_drive.py --camera writes", path=True
    )
    training: str | None = option(
        None, "the same of training images, which the yardsticks are from; none: no yardsticks", path=True
    )
    rays: str | None = option(None, "file of the true rays, such as rays.npz of the drive", path=True)
    template: list[str] | None = option(
        None, "what training began with: a row of its own in the table of rays; as train.py --template"
    )
    depth_cap: float = option(80.0, "pixels that are truly farther do not count, metres")
    images: str | None = option(None, "folder of the images, for the picture; none: without them", path=True)
    rows: int = option(4, "images in the picture")
    output: str = option("report", "folder for rays.md, rays.json and rays.png", path=True)

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        for name, meant in (("truth", "a folder of range maps"), ("rays", "the file of the true rays")):
            require(getattr(self, name) is not None, f"--{name} is missing: {meant}")
        for entry in self.predictions:
            require("=" in entry, f"option predictions: {entry!r} is not NAME=FOLDER")
        if self.template and self.template[0] in CAMERAS:
            require_camera(self.template[0], len(self.template) - 1, "option template")
        require(self.depth_cap > 0, "option depth_cap: must be above 0, in metres")
        require_at_least(self, 1, "rows")
