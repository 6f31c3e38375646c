"""Options of make_split.py, check_parity.py, convert_weights.py and export_onnx.py."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from dataclasses import dataclass
from typing import Any

from core.options.base import option, require, require_at_least, require_depth_range, require_seed
from core.options.training import Monodepth2Options


@dataclass
class SplitOptions:
    """Split lists of own images."""

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


# What shapes the networks and the loss, as far as `check_parity.py` asks for it.
MODEL_OPTIONS = (
    *("num_layers", "frame_ids", "use_stereo", "known_poses", "scales", "min_depth", "max_depth"),
    *("v1_multiscale", "avg_reprojection", "disable_automasking", "predictive_mask", "no_ssim"),
    *("disparity_smoothness", "pose_model_type", "pose_model_input", "warp_align_corners_false"),
)


def model_option(name: str) -> Any:
    """An option of Monodepth2 that may be left open: then it is as in the weights' folder, else its default."""
    metadata = Monodepth2Options.__dataclass_fields__[name].metadata
    return option(None, metadata["help"], metadata["choices"])


@dataclass
class ParityOptions:
    """Comparison of the backends; what is none is as in the weights' folder, else as train.py has it."""

    method: str = option("monodepth2", "which paper", choices=("monodepth2",))
    backends: list[str] = option(("torch", "paddle"), "the two to compare", choices=("torch", "paddle"))
    load_weights_folder: str | None = option(
        None, "folder of weights, or a name of the zoo; none: weights made from the seed", path=True
    )
    output: str = option("runs/parity.json", "JSON certificate, or a folder for parity.json", path=True)
    height: int = option(64, "height of the images, a multiple of 32")
    width: int = option(96, "width of the images, a multiple of 32")
    batch_size: int = option(2, "samples per step")
    steps: int = option(10, "training steps whose losses are compared")
    seed: int = option(0, "of everything that is made up")
    threads: int = option(1, "of each backend; more of them add up in another order at every run")
    timeout: float = option(1800.0, "seconds after which a backend counts as hanging")
    num_layers: int | None = model_option("num_layers")
    frame_ids: list[int] | None = model_option("frame_ids")
    use_stereo: bool | None = model_option("use_stereo")
    known_poses: bool | None = model_option("known_poses")
    scales: list[int] | None = model_option("scales")
    min_depth: float | None = model_option("min_depth")
    max_depth: float | None = model_option("max_depth")
    v1_multiscale: bool | None = model_option("v1_multiscale")
    avg_reprojection: bool | None = model_option("avg_reprojection")
    disable_automasking: bool | None = model_option("disable_automasking")
    predictive_mask: bool | None = model_option("predictive_mask")
    no_ssim: bool | None = model_option("no_ssim")
    disparity_smoothness: float | None = model_option("disparity_smoothness")
    pose_model_type: str | None = model_option("pose_model_type")
    pose_model_input: str | None = model_option("pose_model_input")
    warp_align_corners_false: bool | None = model_option("warp_align_corners_false")

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        two = len(self.backends) == 2 and len(set(self.backends)) == 2
        require(two, f"option backends: {' '.join(self.backends)} is no pair to compare; use torch paddle")
        require_at_least(self, 1, "batch_size", "steps", "threads", "timeout")
        require_seed(self.seed)


@dataclass
class ConversionOptions:
    """Conversion of weights."""

    source: str | None = option(
        None, "folder of weights, or a file; recognised by content", path=True, positional=True
    )
    to: str | None = option(None, "format to write", choices=("torch", "paddle", "safetensors", "h5"))
    output: str | None = option(
        None, "folder to write; none: SOURCE_TO beside a folder, the same folder for a file", path=True
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
        require(self.to is not None, "--to is missing: torch, paddle, safetensors or h5")


@dataclass
class OnnxOptions:
    """Export of the depth network to an ONNX file."""

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
