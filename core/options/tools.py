"""Options of check_data.py, make_split.py, make_frame_index.py, check_parity.py, convert_weights.py and "
"export_onnx.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import typing
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

from core.options.base import (
    DATASETS,
    accept_option,
    option,
    require,
    require_at_least,
    require_depth_range,
    require_intrinsics,
    require_seed,
)
from core.options.training import Options, method_names


@dataclass
class SplitOptions:
    """Split lists of own images."""

    EXAMPLE: ClassVar[str] = "make_split.py --data_path videos"

    data_path: str | None = option(None, "folder of images, of sequences or of videos; or a video", path=True)
    output: str | None = option(None, "folder to write; none: splits in the folder of the images", path=True)
    frame_ids: list[int] = option((0, -1, 1), "frames of a sample as offsets in time; all must exist")
    use_stereo: bool = option(False, "the other camera of the stereo pair must exist too")
    validation_share: float = option(0.1, "held out: whole sequences, or the end of each where they are few")
    skip_static: float = option(
        0.0,
        "leave out frames whose neighbours move less: pixels of an image 640 wide, such as 0.5; 0 keeps all",
    )
    png: bool = option(False, "extract the frames of videos as .png, not .jpg")
    force: bool = option(False, "replace the lists that are there already")
    accept: list[str] | None = accept_option()

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.data_path is not None, "--data_path is missing: a folder of images, or a video")
        require(self.frame_ids[0] == 0, f"option frame_ids: the first must be 0, not {self.frame_ids[0]}")
        require(0 < self.validation_share < 1, "option validation_share: must be between 0 and 1")
        require(self.skip_static >= 0, "option skip_static: must not be negative")
        require(
            self.skip_static == 0 or len(self.frame_ids) > 1,
            "option skip_static: needs neighbours in time, such as --frame_ids 0 -1 1",
        )


@dataclass
class CheckOptions:
    """What is looked at of a data folder."""

    EXAMPLE: ClassVar[str] = "check_data.py --data_path kitti --split eigen_zhou"

    data_path: str = option("kitti_data", "root folder of the data set", path=True)
    dataset: str = option("kitti", "reader of the data set", choices=DATASETS)
    split: str = option("eigen_zhou", "folder in splits/, or a path, with lists; or one list file", path=True)
    png: bool = option(False, "read .png images; off: .jpg or .png, whichever the first line has")
    frame_ids: list[int] = option((0, -1, 1), "frames of a sample as offsets in time")
    use_stereo: bool = option(False, "the other camera of the stereo pair is needed, too")
    baseline: float | None = option(
        None, "metres between the cameras of a stereo pair, if they are to be given"
    )
    intrinsics: list[float] | None = option(None, "dataset folder: fx fy cx cy in units of the image size")
    cameras: list[str] | None = option(
        None, "dataset ddad: its cameras by name, such as camera_01 camera_05; none: camera_01"
    )
    ground_truth: str | None = option(
        None, "ground truth; none: gt_depths.npz in the split's folder, if it is there", path=True
    )
    samples: int = option(50, "scans or depth maps of each list that are read, evenly chosen")
    accept: list[str] | None = accept_option()

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 0, "samples")
        require_intrinsics(self.intrinsics)
        require(self.frame_ids[0] == 0, f"option frame_ids: the first must be 0, not {self.frame_ids[0]}")
        require(
            self.cameras is None or self.dataset == "ddad",
            "option cameras: only with --dataset ddad, whose cameras have names",
        )


@dataclass
class FrameIndexOptions:
    """Frames in which something has moved, of every scene of a data set with lists of scenes."""

    EXAMPLE: ClassVar[str] = "make_frame_index.py --data_path scenes"

    data_path: str | None = option(
        None, "root folder of the scenes: has training/train.txt, or train.txt, or val.txt", path=True
    )
    grey_levels: int = option(10, "a pixel has changed when it differs from the last kept frame by more")
    share: float = option(0.5, "keep a frame when at least so many of its pixels have changed")
    force: bool = option(False, "make also the indices that are there already")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.data_path is not None, "--data_path is missing: the root folder of the scenes")
        require(0 <= self.grey_levels < 255, "option grey_levels: must be between 0 and 254")
        require(0 < self.share <= 1, "option share: must be above 0 and not above 1")


PARITY_SIZE = {"height": 64, "width": 96}  # or the least that a method allows


@dataclass
class ParityOptions:
    """Comparison of the backends."""

    EXAMPLE: ClassVar[str] = "check_parity.py --method {method} --output certificate"

    method: str = option("", "which paper", choices=method_names)
    backends: list[str] = option(("torch", "paddle"), "the two to compare", choices=("torch", "paddle"))
    load_weights_folder: str | None = option(
        None, "folder of weights, or a name of the zoo; none: weights made from the seed", path=True
    )
    output: str = option("runs/parity.json", "JSON certificate, or a folder for parity.json", path=True)
    height: int = option(PARITY_SIZE["height"], "height of the images")
    width: int = option(PARITY_SIZE["width"], "width of the images")
    batch_size: int = option(2, "samples per step")
    steps: int = option(10, "training steps whose losses are compared")
    seed: int = option(0, "of everything that is made up")
    threads: int = option(1, "of each backend; more of them add up in another order at every run")
    timeout: float = option(1800.0, "seconds after which a backend counts as hanging")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        two = len(self.backends) == 2 and len(set(self.backends)) == 2
        require(two, f"option backends: {' '.join(self.backends)} is no pair to compare; use torch paddle")
        require_at_least(self, 1, "batch_size", "steps", "threads", "timeout")
        require_seed(self.seed)


def parity_options(method: type[Options]) -> type[ParityOptions]:
    """The options of check_parity.py for a method: beside its own, those that shape the model, which may be left open.

    What is none is as in the weights' folder, else as train.py has it.
    """
    fields: list[tuple[str, Any, Any]] = []
    annotations = typing.get_type_hints(method)
    for name in method.MODEL:
        metadata = method.__dataclass_fields__[name].metadata
        fields.append((name, annotations[name] | None, option(None, metadata["help"], metadata["choices"])))
    fields.append(("method", str, option(method().method, "which paper", method_names)))
    for name, side in PARITY_SIZE.items():
        multiple = method.SIDE_MULTIPLE
        side = -(-max(side, method.LEAST_SIDE) // multiple) * multiple
        fields.append((name, int, option(side, f"{name} of the images, a multiple of {multiple}")))
    first = (method.__doc__ or method.__name__).splitlines()[0]
    made: type[ParityOptions] = make_dataclass("ModelOptions", fields, bases=(ParityOptions,))
    made.__doc__ = f"{first.rstrip('.')}; none: as in the weights' folder, else as train.py has it."
    return made


@dataclass
class ConversionOptions:
    """Conversion of weights."""

    EXAMPLE: ClassVar[str] = (
        "convert_weights.py runs/mdp/models/weights_19 --to safetensors --output converted"
    )

    source: str | None = option(
        None, "folder of weights, or a file; recognised by content", path=True, positional=True
    )
    to: str | None = option(None, "format to write", choices=("torch", "paddle", "safetensors", "h5"))
    output: str | None = option(
        None, "folder to write; none: SOURCE_TO beside a folder, the same folder for a file", path=True
    )
    joined: str | None = option(
        None,
        "instead of a folder, this one file of all networks, such as last.ckpt, as PyTorch and their authors have it",
        path=True,
    )
    verify: bool = option(
        False, "load source and result, each in its own backend, and compare what the networks return"
    )
    classifier: bool = option(
        False,
        "add the unused classifier (zeros) to encoders without one: the published program insists on it",
    )
    force: bool = option(False, "replace files that are there already")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.source is not None, "SOURCE is missing: a folder of weights, or a file")
        if self.joined is None:
            require(self.to is not None, "--to is missing: torch, paddle, safetensors or h5")
            return
        require(self.to in (None, "torch"), f"--joined: is written by PyTorch; leave --to {self.to} out")
        require(self.output is None, "--joined: names what is written; leave --output out")


@dataclass
class VisualizationOptions:
    """Colour pictures of saved disparities."""

    EXAMPLE: ClassVar[str] = "visualize_disparities.py disps_eigen_split.npy"

    disparities: str | None = option(
        None, ".npy of disparities (images, height, width), of any program", path=True, positional=True
    )
    output: str | None = option(
        None, "folder for disp0.png, disp1.png, ...; none: disps_vis beside the file", path=True
    )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(self.disparities is not None, "DISPARITIES is missing: an .npy of disparities")


@dataclass
class OnnxOptions:
    """Export of the depth network to an ONNX file."""

    EXAMPLE: ClassVar[str] = "export_onnx.py --load_weights_folder runs/mdp --output depth.onnx"

    backend: str = option(
        "torch", "framework that writes it, from weights of either", choices=("torch", "paddle")
    )
    load_weights_folder: str | None = option(
        None, "folder of weights, or the name of a release in weights/zoo.yml", path=True
    )
    output: str = option("depth.onnx", "file to write", path=True)
    height: int | None = option(None, "of the images, a multiple of 32; none: as in the weights' folder")
    width: int | None = option(None, "of the images, a multiple of 32; none: as in the weights' folder")
    batch_size: int = option(1, "images per pass")
    with_input_depth: bool = option(
        False,
        "a second input, input_depth, for models that take depth beside the image; 0 where it is not known",
    )
    min_depth: float | None = option(
        None, "depth where the sigmoid is 1; none: as in the weights' folder, else 0.1"
    )
    max_depth: float | None = option(
        None, "depth where the sigmoid is 0; none: as in the weights' folder, else 100"
    )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require(
            self.load_weights_folder is not None,
            "--load_weights_folder is missing: a folder of weights, or a name of weights/zoo.yml",
        )
        require_at_least(self, 1, "batch_size")
        require_depth_range(self.min_depth, self.max_depth)
