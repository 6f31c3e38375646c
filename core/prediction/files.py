"""What `predict.py` writes of an image: files that state their unit, scale and model."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.datasets.depth_files import STEP_TEXT
from core.disparity import STEREO_SCALE_FACTOR, resize_map
from core.errors import UserError
from core.evaluation.disparity_files import KITTI_DEPTH_UNIT
from core.files.arrays import require_finite, save_array, save_arrays, save_marked_array, write_json
from core.files.colour import colour_map, jet_map, plasma_map
from core.files.images import COMMENT, resize_array, write_image
from core.geometry import relative_intrinsics
from core.options import PredictionOptions
from core.plausibility.evaluation import NEAR, check_one_depth, check_steps, fitting_step, is_flat
from core.prediction.point_cloud import point_cloud, points_along, write_ply

LARGEST_PIXEL = 65535
NEARLY_CONSTANT = 1.1  # farthest to nearest depth, below which there is nothing to see
LARGEST_RELATIVE_DEPTH = 100.0  # in 16 bits, of networks without a bound
AXES = "camera coordinates: x right, y down, z forward"
RANGE = "range: along the ray of each pixel, not along the camera's axis"
DISPARITY = {"quantity": "disparity", "depth": "scale_factor / disparity"}


def depth_record(metric: bool, scale_factor: float, model: str) -> dict[str, Any]:
    """What a file says of its depth: the unit of scale_factor / disparity, the factor, and what predicts it."""
    unit = "metres" if metric else "relative: true up to one unknown scale"
    return {"unit": unit, "scale_factor": scale_factor, "model": model}


@dataclass(frozen=True)
class Prediction:
    """What is known of one image; all maps of one size, the network's or the image's own.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        disparity: (H, W) 1 / depth, as the network gives it.
        depth: (H, W) float32, in metres, or true up to one unknown scale.
        image_size: (height, width) of the image as it came.
        rays: (3, H, W) unit vectors along which depth is range; None: depth is along the camera's axis.
        valid: (H, W) bool, False where the camera sees nothing; None: it sees all.
    """

    image: np.ndarray
    disparity: np.ndarray
    depth: np.ndarray
    image_size: tuple[int, int]
    rays: np.ndarray | None = None
    valid: np.ndarray | None = None


class PredictionWriter:
    """Writes predictions as the options ask for, each file whole or not at all.

    Args:
        options: of `predict.py`.
        kinds: names of `WRITERS`, the files to write for each image.
        model: what made the predictions, for the record inside the files.
        max_depth: the model's largest depth before scaling; None where it has no bound.
        stereo_factor: metres in a unit of depth of a model trained with stereo or known poses.
    """

    def __init__(
        self,
        options: PredictionOptions,
        kinds: list[str],
        model: str,
        max_depth: float | None,
        stereo_factor: float = STEREO_SCALE_FACTOR,
    ) -> None:
        self.options, self.kinds = options, kinds
        self.scale_factor = options.pred_depth_scale_factor * (
            stereo_factor if options.pred_metric_depth else 1.0
        )
        metric = options.pred_metric_depth or self.scale_factor != 1
        # Metres as KITTI stores them; a relative depth gets all 16 bits, in steps that are the same for all images.
        largest = (max_depth or LARGEST_RELATIVE_DEPTH) * (self.scale_factor if metric else 1.0)
        near = metric and max_depth is not None and largest < NEAR
        self.pixel_unit = largest / LARGEST_PIXEL if near or not metric else KITTI_DEPTH_UNIT
        if options.png_scale is not None:
            self.pixel_unit = 1 / options.png_scale
        self._fits_steps = metric and options.png_scale is None
        self._is_coarse = False
        self._steps: set[float] = set()  # of the pictures so far
        self.record = depth_record(metric, self.scale_factor, model)
        self.unit = " m" if metric else ", no unit"
        self.nearest, self.farthest = math.inf, 0.0
        self.images, self.flat = 0, 0  # of all, those with one depth for all pixels

    def range(self) -> str:
        """A line on the depths so far, also those of which no file was asked for; warns of such as have only one."""
        check_one_depth(self.record["model"], self.flat, self.images)
        line = f"depth from {self.nearest:.4g} to {self.farthest:.4g}{self.unit}"
        if self.farthest < NEARLY_CONSTANT * self.nearest:
            line += "; nearly constant: colours show differences that mean nothing. Are the weights trained to the end?"
        if self._steps - {self.pixel_unit}:
            steps = sorted({f"{step:.3g}" for step in self._steps}, key=float)
            line += f"; *_depth.png in steps of {', '.join(steps)} m, as the text of each says"
        return line

    def describe(self) -> str:
        """The files written for each image."""
        return ", ".join(str(file_of(kind, Path("*"))) for kind in self.kinds)

    def save(
        self,
        stem: Path,
        image: np.ndarray,
        disparity: np.ndarray,
        rays: np.ndarray | None = None,
        valid: np.ndarray | None = None,
    ) -> None:
        """Writes a file for every kind asked for, see `file_of`.

        Args:
            image: (h, w, 3) uint8 RGB, as it came.
            disparity: (H, W) 1 / depth, at the size of the network.
            rays: (3, H, W), where depth is range along them.
            valid: (H, W) bool, where the camera sees something.

        Raises:
            UserError: a file cannot be written, a point cloud is empty, or disparity or depth is not finite.
        """
        image_size = image.shape[:2]
        if self.options.size == "original":  # first resized, then inverted, as in evaluation
            disparity = resize_map(disparity, *image_size)
            rays = None if rays is None else resized_rays(rays, *image_size)
            valid = None if valid is None else resize_map(valid.astype(np.float32), *image_size) > 0.5
        else:
            image = resize_array(image, *disparity.shape)
        what = f"{stem.name}: nothing written: "
        require_finite(disparity, f"{what}disparity", "check the weights")
        with np.errstate(divide="ignore", over="ignore"):
            depth = (self.scale_factor / disparity).astype(np.float32)
        require_finite(depth, f"{what}depth", "lower --pred_depth_scale_factor, or check the weights")
        self.images, self.flat = self.images + 1, self.flat + is_flat(disparity)
        near, far = float(depth.min()), float(depth.max())
        self.nearest, self.farthest = min(self.nearest, near), max(self.farthest, far)
        prediction = Prediction(image, disparity, depth, image_size, rays, valid)
        for kind in self.kinds:
            write = IN_FOLDERS[kind][1] if kind in IN_FOLDERS else WRITERS[kind][1]
            write(self, file_of(kind, stem), prediction)

    def save_disparity(self, path: Path, prediction: Prediction) -> None:
        """(1, 1, H, W) float32 as published programs write it, and a `.json` beside it with what it means."""
        array = prediction.disparity[None, None].astype(np.float32)
        save_array(path, array)
        record = DISPARITY | self._record(prediction)
        write_json(path.with_suffix(".json"), record, end="\n")

    def save_depth(self, path: Path, prediction: Prediction) -> None:
        """`depth` (H, W) float32 and the record, as arrays of one file; K (3, 3) in its pixels, if known."""
        arrays = {"depth": prediction.depth, **self._record(prediction)}
        if prediction.rays is not None:
            arrays["rays"] = prediction.rays.astype(np.float32)
        if prediction.valid is not None:
            arrays["valid"] = prediction.valid
        if self.options.intrinsics is not None:
            arrays["intrinsics"] = relative_intrinsics(self.options.intrinsics, *prediction.depth.shape)
        save_arrays(path, arrays)

    def save_plain_depth(self, path: Path, prediction: Prediction) -> None:
        """(H, W) float32 of depth and nothing else; along the axis, always: such a file cannot say that it is range."""
        depth = prediction.depth
        if prediction.rays is not None:
            depth = depth * np.maximum(prediction.rays[2], np.finfo(np.float32).eps).astype(depth.dtype)
        save_marked_array(path, depth)

    def save_depth_colours(self, path: Path, prediction: Prediction) -> None:
        """The depth in colours, from red, near, to blue, far."""
        write_image(path, Image.fromarray(jet_map(prediction.depth)), quality=95, comment=COMMENT)

    def save_colour(self, path: Path, prediction: Prediction) -> None:
        """The disparity in colours, at the size of the image as it came."""
        colours = colour_map(prediction.disparity, prediction.image_size)
        write_image(path, Image.fromarray(colours), quality=95, comment=COMMENT)

    def save_png(self, path: Path, prediction: Prediction) -> None:
        """Depth in 16 bits; the file's text says what one step is. Depth beyond 16 bits has the largest value."""
        step = self.pixel_unit
        if self._fits_steps:
            step = fitting_step(step, prediction.depth, LARGEST_PIXEL)
            self._is_coarse = self._is_coarse or check_steps(
                path.name, step, prediction.depth
            )  # once is enough
        self._steps.add(step)
        pixels = np.clip(np.rint(prediction.depth / step), 1, LARGEST_PIXEL).astype(np.uint16)
        text = self._text(prediction, depth=f"{STEP_TEXT}{step!r}")
        text.add_text("limit", f"{LARGEST_PIXEL}: that far or farther")
        write_image(path, Image.fromarray(pixels), pnginfo=text)

    def save_stacked(self, path: Path, prediction: Prediction) -> None:
        """The image above its disparity in colours, dark where it is far; the file's text has the record."""
        stacked = np.concatenate([prediction.image, plasma_map(prediction.disparity)])
        write_image(path, Image.fromarray(stacked), pnginfo=self._text(prediction))

    def save_rays(self, path: Path, prediction: Prediction) -> None:
        """The rays in colours: components, directions, angles off the axis."""
        from core.cameras.pictures import template_picture

        assert prediction.rays is not None  # asked for before anything is predicted
        write_image(path, template_picture(prediction.rays, prediction.valid), pnginfo=self._text(prediction))

    def _record(self, prediction: Prediction) -> dict[str, Any]:
        """The record; of range it says so, since it is no depth along the axis."""
        return self.record | ({} if prediction.rays is None else {"distance": RANGE})

    def _text(self, prediction: Prediction, **first: str) -> PngInfo:
        """The record as texts of a PNG."""
        text = PngInfo()
        for key, value in {**first, **self._record(prediction)}.items():
            text.add_text(key, str(value))
        return text

    def save_points(self, path: Path, prediction: Prediction) -> None:
        """Every pixel as a point in its colour, in camera coordinates."""
        options, values = self.options, self.options.intrinsics
        if prediction.rays is not None:
            vertices = points_along(
                prediction.rays, prediction.depth, prediction.image, prediction.valid, options.depth_cap
            )
            lines = (f"{key}: {value}" for key, value in self._record(prediction).items())
            write_ply(path, vertices, [*lines, AXES])
            return
        if values is None:
            raise UserError("--save points needs --intrinsics fx fy cx cy")
        K = relative_intrinsics(values, *prediction.depth.shape)
        vertices = point_cloud(prediction.depth, prediction.image, K, options.depth_cap)
        given = f"intrinsics relative to the image size: {' '.join(map(str, values))}"
        write_ply(path, vertices, [*(f"{key}: {value}" for key, value in self.record.items()), AXES, given])


Writer = Callable[[PredictionWriter, Path, Prediction], None]
# Name in --save: end of the file's name, and what writes it.
WRITERS: dict[str, tuple[str, Writer]] = {
    "disparity": ("_disp.npy", PredictionWriter.save_disparity),
    "depth": ("_depth.npz", PredictionWriter.save_depth),
    "colour": ("_disp.jpeg", PredictionWriter.save_colour),
    "png": ("_depth.png", PredictionWriter.save_png),
    "points": ("_points.ply", PredictionWriter.save_points),
    "stacked": ("_rgb_disp.png", PredictionWriter.save_stacked),
    "rays": ("_rays.png", PredictionWriter.save_rays),
}
# Name in --save: the place of a file below the folder of results, and what writes it.
IN_FOLDERS: dict[str, tuple[str, Writer]] = {
    "npy": ("model_v1/depth/{}.npy", PredictionWriter.save_plain_depth),
    "vis": ("model_v1/vis/{}.jpg", PredictionWriter.save_depth_colours),
}


def resized_rays(rays: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rays (3, h, w) at another size, unit."""
    resized = np.stack([resize_map(component, height, width) for component in rays])
    return np.asarray(resized / np.maximum(np.linalg.norm(resized, axis=0), np.finfo(np.float32).tiny))


def file_of(kind: str, stem: Path) -> Path:
    """The file of a kind: `<stem><suffix>`, or in a folder of its own beside the stem."""
    if kind in IN_FOLDERS:
        return stem.parent / IN_FOLDERS[kind][0].format(stem.name)
    return stem.with_name(stem.name + WRITERS[kind][0])
