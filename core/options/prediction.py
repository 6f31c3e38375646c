"""Options of predict.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from core.options.base import (
    PRECISION,
    RESNET_LAYERS,
    option,
    require,
    require_at_least,
    require_depth_range,
    require_device,
    require_intrinsics,
    require_share,
)


@dataclass
class PredictionOptions:
    """Prediction for images and videos."""

    EXAMPLE: ClassVar[str] = "predict.py --image_path photo.jpg --load_weights_folder runs/mdp"

    REJECTED: ClassVar[Mapping[str, str]] = {  # of programs that are known: the cure
        "input_dir": "use --image_path",
        "output_dir": "use --output",
        "save_vis": "use --save vis, or --save npy vis",
        "save_depth": "use --save npy, or --save npy vis",
    }

    backend: str = option("torch", "framework", choices=("torch", "paddle"))
    image_path: str | None = option(
        None,
        "image, folder, glob pattern in quotes, list of images (.txt), video, webcam or webcam:N",
        path=True,
    )
    load_weights_folder: str | None = option(
        None,
        "weights: a folder, one file of all networks, or the name of a release in weights/zoo.yml",
        path=True,
    )
    model_name: str | None = option(None, "name of a release: the same as --load_weights_folder NAME")
    input_depth: str | None = option(
        None,
        "depth that a model takes beside the image: a file for one image, or a folder of files under the names of the "
        "images: 16-bit .png in 1/256 m as KITTI's, .npy or .npz in metres; 0: not known",
        path=True,
    )
    input_depth_points: float = option(1.0, "share of the points of that depth which the model sees")
    output: str | None = option(None, "folder for the results; none: beside each image", path=True)
    overwrite: bool = option(False, "replace files that predict.py did not write; its own it always replaces")
    save: list[str] = option(
        ("auto",),
        "disparity .npy, depth .npz, colour map .jpeg (of a video .mp4), 16-bit depth .png, coloured points .ply; "
        "stacked: the image above its disparity in plasma, .png; "
        "npy: depth alone in model_v1/depth/<name>.npy; vis: that in colours, model_v1/vis/<name>.jpg (both "
        "numbered where names repeat or are in another order); rays: a picture of the viewing rays, of models "
        "that find them, .png; auto: disparity depth colour, of a video colour",
        choices=("auto", "disparity", "depth", "colour", "png", "points", "stacked", "rays", "npy", "vis"),
    )
    size: str = option(
        "network",
        "size of disparity, depth, png, points, stacked, rays, npy and vis",
        choices=("network", "original"),
    )
    intrinsics: list[float] | None = option(
        None,
        "for points, and into depth .npz: fx fy cx cy, fx and cx over the image's width, fy and cy over its height",
    )
    png_scale: float | None = option(
        None,
        "values of the 16-bit png in a unit of depth; none: 256 of metres, more where depth is near; else the most",
    )
    depth_cap: float | None = option(
        None, "points farther than this are left out, in the unit of the depth; none keeps all"
    )
    frames: int | None = option(None, "frames of a video or webcam to predict; none: all")
    ext: list[str] = option(("jpg", "jpeg", "png"), "extensions to look for in a folder")
    pred_metric_depth: bool = option(
        False,
        "depth in metres, for models trained with stereo or known poses: times the metres in a unit",
    )
    pred_depth_scale_factor: float = option(
        1.0, "multiplies the depth; other than 1 it is taken to give metres"
    )
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    min_depth: float | None = option(
        None, "depth where the sigmoid is 1; none: as in the weights' folder, else 0.1"
    )
    max_depth: float | None = option(
        None, "depth where the sigmoid is 0; none: as in the weights' folder, else 100"
    )
    height: int | None = option(
        None,
        "of the network's input; none: as in the weights' folder, where it is known, else the method's usual one",
    )
    width: int | None = option(None, "of the network's input; see height")
    num_layers: int | None = option(
        None, "of the ResNet; none: as in the weights' folder, else 18", choices=RESNET_LAYERS
    )
    batch_size: int = option(1, "images per pass")
    precision: str = option("32", PRECISION, choices=("32", "bf16", "16"))
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(
            self.image_path is not None,
            "--image_path is missing: image, folder, pattern, list, video or webcam",
        )
        require(
            self.load_weights_folder is not None or self.model_name is not None,
            "--load_weights_folder is missing: a folder of weights, or a name of weights/zoo.yml",
        )
        require(
            self.load_weights_folder is None or self.model_name is None,
            "--model_name and --load_weights_folder: give one of them; they mean the same",
        )
        require_at_least(self, 1, "batch_size")
        require_device(self.device)
        require_depth_range(self.min_depth, self.max_depth)
        require(self.save == ["auto"] or "auto" not in self.save, "option save: auto stands alone")
        require_intrinsics(self.intrinsics)
        require(self.pred_depth_scale_factor > 0, "option pred_depth_scale_factor: must be above 0")
        require(self.depth_cap is None or self.depth_cap > 0, "option depth_cap: must be above 0")
        require(self.png_scale is None or self.png_scale > 0, "option png_scale: must be above 0")
        for name, kinds in (
            ("intrinsics", ("points", "depth", "auto")),
            ("depth_cap", ("points",)),
            ("png_scale", ("png",)),
        ):
            only = " and ".join(kind for kind in kinds if kind != "auto")
            require(
                getattr(self, name) is None or not {*kinds}.isdisjoint(self.save),
                f"option {name}: only for {only}; add --save {kinds[0]} or leave it out",
            )
        require(self.frames is None or self.frames > 0, "option frames: must be above 0")
        require_share(self.input_depth_points, "input_depth_points")
        require(
            self.input_depth is not None or self.input_depth_points == 1,
            "option input_depth_points: only with --input_depth; leave it out",
        )
